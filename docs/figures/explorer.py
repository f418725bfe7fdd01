"""Draw docs/figures/explorer.png: the explorer of a report on digits, as a browser shows it.

Needs selenium, Chromium and its driver; half a minute.
"""

from __future__ import annotations

from pathlib import Path
from shutil import which
from tempfile import TemporaryDirectory

from selenium import webdriver
from selenium.webdriver.common.by import By

import fluctua as fl
from fluctua.report import save_report
from fluctua.report.explorer.ranges import surveyed

OUT = Path(__file__).with_name("explorer.png")


def browser() -> webdriver.Chrome:
    """Open a browser without a window."""
    options = webdriver.ChromeOptions()
    for word in ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=840,2400"):
        options.add_argument(word)
    options.binary_location = which("chromium") or which("google-chrome") or ""
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=which("chromedriver")))


def main() -> None:
    data = fl.load("digits")
    problem = fl.LeastSquares(data.inputs, data.targets)
    verdict = fl.verify(problem, fl.SGD(lr=0.05, batch_size=8), steps=500, replicas=64, rng=1).about(data.about)
    opened = browser()
    with TemporaryDirectory() as place:
        page = save_report(surveyed(verdict, problem), Path(place) / "report.html", brief=[0])
        opened.get(page.as_uri())
        opened.execute_script(
            """const set = (name, value) => {
              const number = document.querySelector(`[data-number="${name}"]`);
              number.value = value;
              number.dispatchEvent(new Event("input", { bubbles: true }));
            };
            set("lr", 0.1); set("horizon", 50000);"""
        )
        opened.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")
        opened.find_element(By.CLASS_NAME, "explorer").screenshot(str(OUT))
    opened.quit()


if __name__ == "__main__":
    main()
