"""What to cite, as BibTeX: the paper whose theorem fluctua extends, and fluctua itself; as CITATION.cff has them."""

from __future__ import annotations

__all__ = ["bibtex"]

_BIBTEX = """\
@article{han2021fluctuation,
  author  = {Han, Manhyung and Park, Jeonghyeok and Lee, Taewoong and Han, Jung Hoon},
  title   = {Fluctuation-dissipation-type theorem in stochastic linear learning},
  journal = {Physical Review E},
  volume  = {104},
  pages   = {034126},
  year    = {2021},
  doi     = {10.1103/PhysRevE.104.034126},
  url     = {https://arxiv.org/abs/2106.02220},
}

@software{fluctua,
  author  = {{The fluctua developers}},
  title   = {fluctua: the fluctuation-dissipation theorem of stochastic linear learning, predicted and verified},
  version = {VERSION},
  license = {MIT},
}"""


def bibtex(version: str) -> str:
    """Return the entries of the paper and of this version of fluctua."""
    return _BIBTEX.replace("VERSION", version)
