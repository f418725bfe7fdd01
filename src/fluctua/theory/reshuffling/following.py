"""Which way a run in shuffled epochs is followed."""

from __future__ import annotations

from ..._arrays import Array
from ...kernels.time_varying import Course
from .course_run import CourseRun
from .expansion import NODES, Shuffle
from .followed import FollowedRun, SampledRun
from .measured import MeasuredEpochs
from .measured_course import MeasuredCourse
from .measured_run import MeasuredRun
from .transient import EPOCHS_RTOL, Epochs

__all__ = ["follow_epochs", "follow_sampled"]


def follow_sampled(epochs: MeasuredEpochs, course: Course | None, mean: Array | None) -> SampledRun:
    """Return a run from E V(0) = `mean` with the orders of `epochs`; without a course its steps are all alike."""
    return MeasuredRun(epochs, mean) if course is None else MeasuredCourse(epochs, course, mean)


def follow_epochs(
    shuffle: Shuffle, measured: MeasuredEpochs | None, course: Course | None, mean: Array | None, rtol: float
) -> FollowedRun:
    """Return a run from E V(0) = `mean`, in epochs as they are where those are `measured`, else by the expansion.

    Its steps are those of `course`; without one they are all alike.
    """
    if measured is not None:
        return follow_sampled(measured, course, mean)
    accuracy = max(rtol, EPOCHS_RTOL) if shuffle.nodes < NODES else EPOCHS_RTOL
    if course is None:
        return Epochs(shuffle, mean, accuracy)
    return CourseRun(shuffle, course, mean, accuracy)
