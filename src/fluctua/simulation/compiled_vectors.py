"""Vectors in compiled code: LLVM's instructions on as many numbers at once as a register of the machine holds.

numba compiles loops over single numbers, and LLVM makes vectors of them as it sees fit: of half a register on machines
whose registers have 64 bytes, and with sums that do not stay there. Here the instructions are written out, by loops in
Python that LLVM never sees.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import Parameter, Signature
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.registry import cpu_target
from numba.extending import intrinsic

__all__ = ["Value", "Vectors", "instruction", "read_ahead", "register_bytes"]

Value = Any
"""Of LLVM: what an instruction takes and gives."""

_ANY_ORDER = ("contract", "reassoc", "nsz")  # of sums; a product and a sum may be one instruction
_BIT, _INT, _SIZE = ir.IntType(1), ir.IntType(32), ir.IntType(64)
_BYTE_POINTER = ir.IntType(8).as_pointer()
_SECOND_LEVEL = 2  # of the cache, which holds more than is read ahead


def register_bytes(context: Any = None) -> int:
    """Return the bytes of a vector register of the processor that is compiled for."""
    features = (cpu_target.target_context if context is None else context).codegen().magic_tuple()[2].split(",")
    if "+avx512f" in features:
        return 64
    return 32 if {"+avx2", "+fma"} <= set(features) else 16


def instruction(names: str, generate: Callable[[Any, Any, Any, Any], Value]) -> Any:
    """Return a function of compiled code with such arguments, arrays whose rows lie in order, from what writes it."""

    def typed(context: Any, *arguments: Any) -> Any:
        del context
        whole = all(each.layout == "C" for each in arguments if isinstance(each, types.Array))
        return (types.void(*arguments), generate) if whole else None

    given: Any = typed  # numba takes the arguments one by one
    given.__signature__ = Signature(
        [Parameter(name, Parameter.POSITIONAL_ONLY) for name in ["context", *names.split()]]
    )
    return intrinsic(given)


class Vectors:
    """What is done with vectors of one type of numbers, as instructions of LLVM.

    Attributes
    ----------
    lanes : int
        Numbers of a vector: by default as many as a register holds.
    """

    def __init__(self, context: Any, builder: Any, number: Any, lanes: int | None = None) -> None:
        self.context, self.builder = context, builder
        self.lanes = 8 * register_bytes(context) // number.bitwidth if lanes is None else lanes
        self._align = ir.Constant(_INT, number.bitwidth // 8)
        self.type = ir.VectorType(context.get_value_type(number), self.lanes)
        self.zero = ir.Constant(self.type, None)

    def arrays(self, signature: Any, arguments: Any) -> list[Value]:
        """Return the arguments, and for each array its structure."""
        pairs = zip(signature.args, arguments, strict=True)
        return [self._array(kind, each) if isinstance(kind, types.Array) else each for kind, each in pairs]

    def _array(self, kind: Any, array: Value) -> Value:
        return self.context.make_array(kind)(self.context, self.builder, array)

    def at(self, pointer: Value, place: Value) -> Value:
        """Return the pointer to a number so many places on."""
        return self.builder.gep(pointer, [place], inbounds=True)

    def row(self, array: Value, i: Value) -> Value:
        """Return the pointer to row i of a matrix, whose rows lie one after another."""
        return self.at(array.data, self.builder.mul(i, cgutils.unpack_tuple(self.builder, array.shape)[1]))

    def load(self, pointer: Value, mask: Value = None) -> Value:
        """Read a vector; with a mask, zeros where it is not set."""
        place = self._cast(pointer)
        if mask is None:
            return self.builder.load(place, align=self._align.constant)
        return self._call("load", self.type, [place, self._align, mask, self.zero])

    def store(self, vector: Value, pointer: Value, mask: Value = None) -> None:
        """Write a vector; with a mask, only where it is set."""
        place = self._cast(pointer)
        if mask is None:
            self.builder.store(vector, place, align=self._align.constant)
        else:
            self._call("store", ir.VoidType(), [vector, place, self._align, mask])

    def spread(self, number: Value) -> Value:
        """Return a vector of one number."""
        return _spread(self.builder, number, self.type)

    def multiply_add(self, a: Value, b: Value, c: Value) -> Value:
        """Return a b + c."""
        return self.builder.fadd(self.builder.fmul(a, b, flags=_ANY_ORDER), c, flags=_ANY_ORDER)

    def add(self, a: Value, b: Value) -> Value:
        """Return a + b."""
        return self.builder.fadd(a, b, flags=_ANY_ORDER)

    def total(self, vector: Value) -> Value:
        """Return the sum of a vector's numbers, by halves."""
        while (half := vector.type.count // 2) > 0:
            low, high = (_picked(self.builder, vector, range(begin, begin + half)) for begin in (0, half))
            vector = self.add(low, high)
        return self.builder.extract_element(vector, ir.Constant(_INT, 0))

    def read_ahead(self, pointer: Value) -> None:
        """Ask for the line of memory that a number lies in."""
        builder = self.builder
        kind = ir.FunctionType(ir.VoidType(), [_BYTE_POINTER, _INT, _INT, _INT])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        how = [ir.Constant(_INT, each) for each in (0, _SECOND_LEVEL, 1)]  # to read it, and that of data
        builder.call(function, [builder.bitcast(pointer, _BYTE_POINTER), *how])

    def sums(self, count: int) -> list[Value]:
        """Return places in registers for so many sums, each a vector of zeros."""
        return [cgutils.alloca_once_value(self.builder, self.zero) for _ in range(count)]

    def over(self, length: Value, body: Callable[[Value, Value], None]) -> None:
        """Call `body` with the place of each vector of so many numbers, and with a mask where it is not whole."""
        builder, step = self.builder, ir.Constant(_SIZE, self.lanes)
        whole = builder.sub(length, builder.urem(length, step))
        self.through(ir.Constant(_SIZE, 0), whole, self.lanes, lambda place: body(place, None))
        with builder.if_then(builder.icmp_signed("<", whole, length)):
            kind = ir.VectorType(_INT, self.lanes)
            left = _spread(builder, builder.trunc(builder.sub(length, whole), _INT), kind)
            body(whole, builder.icmp_signed("<", ir.Constant(kind, list(range(self.lanes))), left))

    def through(self, begin: Value, end: Value, step: int, body: Callable[[Value], None]) -> None:
        """Call `body` with each place from `begin` in steps."""
        with cgutils.for_range_slice(self.builder, begin, end, ir.Constant(_SIZE, step), _SIZE) as (place, _):
            body(place)

    def in_runs(self, begin: Value, end: Value, size: int, body: Callable[[Value, int], None]) -> None:
        """Call `body` with the place of each run of so many from `begin` on, then of each single one that is left."""
        builder = self.builder
        left = builder.urem(builder.sub(end, begin), ir.Constant(_SIZE, size))
        whole = builder.sub(end, left)
        self.through(begin, whole, size, lambda place: body(place, size))
        self.through(whole, end, 1, lambda place: body(place, 1))

    def _cast(self, pointer: Value) -> Value:
        return self.builder.bitcast(pointer, self.type.as_pointer())

    def _call(self, what: str, gives: Any, arguments: list[Value]) -> Value:
        kind = ir.FunctionType(gives, [each.type for each in arguments])
        name = f"llvm.masked.{what}.v{self.lanes}{self.type.element.intrinsic_name}.p0"
        return self.builder.call(cgutils.get_or_insert_function(self.builder.module, kind, name), arguments)


def _write_reading_ahead(context: Any, builder: Any, signature: Any, arguments: Any) -> Value:
    """Ask for the line of memory of one number of an array, counted as they lie."""
    vectors = Vectors(context, builder, signature.args[0].dtype, 1)
    array, place = vectors.arrays(signature, arguments)
    vectors.read_ahead(vectors.at(array.data, place))
    return context.get_dummy_value()


read_ahead = instruction("array place", _write_reading_ahead)


def _spread(builder: Any, number: Value, kind: Any) -> Value:
    one = builder.insert_element(ir.Constant(kind, ir.Undefined), number, ir.Constant(_INT, 0))
    return _picked(builder, one, [0] * kind.count)


def _picked(builder: Any, vector: Value, places: Any) -> Value:
    which = ir.Constant(ir.VectorType(_INT, len(places)), list(places))
    return builder.shuffle_vector(vector, ir.Constant(vector.type, ir.Undefined), which)
