"""The benchmarks, by `nox -s bench`: each script of the page on benchmarks, then the page. They also run without nox."""  # noqa: E501

import nox

SCRIPTS = (("simulate_vs_torch.py",), ("simulate_vs_torch.py", "--avx2"), ("growth.py",), ("soak.py",))


@nox.session
def bench(session: nox.Session) -> None:
    """Measure on this machine, and write docs/benchmarks.md."""
    session.install(".[torch]")
    for script, *options in SCRIPTS:
        session.run("python", f"benchmarks/{script}", *options)
    session.run("python", "benchmarks/page.py")
