"""The explorer in a real browser: the sliders' numbers are Python's, and nothing goes wrong on the page."""

from __future__ import annotations

import shutil
import warnings
from dataclasses import replace

import numpy as np
import pytest

import fluctua as fl
from fluctua.report import save_report
from fluctua.report.explorer.ranges import Survey, surveyed
from fluctua.studies.adaptive import Langevin, evidence
from fluctua.theory.stability import mean_stable_lr
from helpers.pages import EVIL

webdriver = pytest.importorskip("selenium.webdriver")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="needs Chromium and its driver")

RECIPE = fl.SGD(lr=0.05, batch_size=8)
SETTINGS = [
    {},
    {"lr": 0.1},
    {"batch_size": 1, "lr": 0.02},
    {"batch_size": 100, "sampling": "without_replacement"},
    {"momentum": 0.9, "lr": 0.01},
    {"momentum": 0.5, "nesterov": True, "batch_size": 3},
    {"momentum": 0.9, "nesterov": True, "batch_size": 56, "lr": 0.02},
    {"weight_decay": 0.1},
    {"weight_decay": 0.002, "momentum": 0.8, "lr": 0.003, "batch_size": 32, "sampling": "without_replacement"},
]


@pytest.fixture(scope="module")
def verdict(digits_problem):
    found = fl.verify(digits_problem, RECIPE, steps=64, replicas=16, rng=1)
    return surveyed(found.about({"name": EVIL, "sha256": EVIL}), digits_problem)


@pytest.fixture(scope="module")
def browser():
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for word in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--window-size=900,1200",
    ):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # the driver's own pipes
        opened = webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=DRIVER))
        yield opened
        opened.quit()


@pytest.fixture(scope="module")
def address(verdict, tmp_path_factory):
    return save_report(verdict, tmp_path_factory.mktemp("report") / "report.html").as_uri()


@pytest.fixture
def page(browser, address):
    browser.get(address)
    yield browser
    assert [entry for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")] == []


def choose(page, name, value):
    """Set a control as a user would, and let the page follow."""
    page.execute_script(
        """const [root, name, value] = [document.querySelector(".explorer"), ...arguments];
        const control = ["number", "choice", "range"].map((kind) => root.querySelector(`[data-${kind}="${name}"]`))
          .find((found) => found);
        if (control.type === "checkbox") control.checked = value;
        else control.value = value;
        control.dispatchEvent(new Event("input", { bubbles: true }));""",
        name,
        value,
    )


def settle(page):
    page.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")


def shown(page, name):
    value = page.find_element("css selector", f'[data-shown="{name}"]').get_attribute("data-value")
    return float(value) if value else None


def apply(page, survey, changes):
    sgd = replace(RECIPE, **changes)
    for name, value in changes.items():
        place = int(np.flatnonzero(survey.weight_decays == value)[0]) if name == "weight_decay" else value
        choose(page, name, place)
    settle(page)
    return sgd


@pytest.mark.any_seed
@pytest.mark.parametrize("changes", SETTINGS, ids=str)
def test_the_numbers_are_pythons(page, verdict, digits_problem, changes):
    survey = Survey.from_arrays(verdict.arrays)
    sgd = apply(page, survey, changes)
    prediction = fl.predict(digits_problem, sgd, theory="discrete")
    assert shown(page, "floor") == pytest.approx(prediction.excess_loss, rel=1e-9)
    assert shown(page, "optimum") == pytest.approx(prediction.optimum_loss, rel=1e-12)
    assert shown(page, "mean-limit") == pytest.approx(mean_stable_lr(digits_problem, sgd), rel=1e-12)
    found = page.execute_script("return document.querySelector('.explorer').found")
    np.testing.assert_allclose(found["temperatures"], prediction.temperatures, rtol=1e-9)
    np.testing.assert_allclose(found["curvatures"], prediction.curvatures, rtol=1e-12)
    curve = fl.learning_curve(digits_problem, sgd, 64, theory="discrete")
    np.testing.assert_allclose(found["curve"], curve[found["steps"]], rtol=1e-9)
    check_exact(page, survey, digits_problem, sgd, prediction.excess_loss)


def check_exact(page, survey, problem, sgd, floor):
    """Solved in the page as in Python, and near Python's own solution; at the run's own recipe the same."""
    place, kappa = survey.exact.place_of(sgd.weight_decay), sgd.sampling_factor(problem.samples)
    limit = survey.exact.limit(sgd.step, kappa, sgd.weight_decay, place)
    expected = floor * (1 + survey.exact.feedback(sgd.step, sgd.lr, kappa, sgd.weight_decay, place))
    exact = fl.predict(problem, sgd).excess_loss
    assert shown(page, "limit") == pytest.approx(limit, rel=1e-8)
    assert shown(page, "exact-floor") == pytest.approx(expected, rel=1e-8)
    assert shown(page, "difference") == pytest.approx(floor / expected - 1, rel=1e-5)
    assert limit == pytest.approx(fl.max_stable_lr(problem, sgd), rel=survey.exact.limit_error)
    found = page.execute_script("return document.querySelector('.explorer').found")
    text = page.find_element("css selector", '[data-shown="exact-floor"]').text
    if sgd == RECIPE:
        assert shown(page, "exact-floor") == pytest.approx(exact, rel=1e-12)
        assert text.startswith(f"{exact:.6g} (")
        assert text.endswith("as Python has it")
        return
    assert found["floorError"] == pytest.approx(survey.exact.error_at(sgd.lr / limit), rel=1e-6)
    assert " ± " in text
    assert expected == pytest.approx(exact, rel=found["floorError"])


@pytest.mark.any_seed
@pytest.mark.parametrize(
    "changes", [{}, {"batch_size": 100}, {"batch_size": 64, "lr": 0.1}, {"momentum": 0.5, "weight_decay": 0.1}], ids=str
)
def test_shuffled_epochs_have_pythons_discrete_numbers(page, verdict, digits_problem, changes):
    """To what Python loses between its nodes in the floor; the learning curve to rounding."""
    survey = Survey.from_arrays(verdict.arrays)
    sgd = apply(page, survey, {"sampling": "shuffle", **changes})
    assert shown(page, "floor") == pytest.approx(
        fl.predict(digits_problem, sgd, theory="discrete").excess_loss, rel=1e-3
    )
    found = page.execute_script("return document.querySelector('.explorer').found")
    curve = fl.learning_curve(digits_problem, sgd, 64, theory="discrete")
    np.testing.assert_allclose(found["curve"], curve[found["steps"]], rtol=1e-9)
    assert shown(page, "exact-floor") is None
    assert "--sampling shuffle" in page.find_element("css selector", '[data-shown="exact-floor"]').text


@pytest.mark.any_seed
@pytest.mark.usefixtures("coarse")
def test_a_run_in_shuffled_epochs_begins_with_pythons_exact_floor(browser, small_problem, tmp_path):
    sgd = fl.SGD(lr=0.02, batch_size=7, sampling="shuffle")
    verdict = surveyed(fl.verify(small_problem, sgd, steps=64, replicas=8, rng=1), small_problem)
    browser.get(save_report(verdict, tmp_path / "report.html", brief=[0]).as_uri())
    exact = fl.predict(small_problem, sgd).excess_loss
    assert shown(browser, "exact-floor") == pytest.approx(exact, rel=1e-12)
    assert f"{exact:.6g}" in browser.find_element("css selector", '[data-shown="exact-floor"]').text
    choose(browser, "lr", 0.021)  # between Python's solutions
    settle(browser)
    near = fl.predict(small_problem, replace(sgd, lr=0.021)).excess_loss
    assert shown(browser, "exact-floor") == pytest.approx(near, rel=0.01)
    choose(browser, "momentum", 0.9)  # none of them has it
    settle(browser)
    assert shown(browser, "exact-floor") is None
    assert browser.get_log("browser") == []


@pytest.mark.any_seed
@pytest.mark.parametrize(
    ("name", "value"), [("lr", ""), ("lr", "-1"), ("batch_size", "2.5"), ("momentum", "1"), ("horizon", "0")]
)
def test_a_bad_value_leaves_no_number_of_other_settings_on_show(page, name, value):
    choose(page, name, value)
    settle(page)
    assert page.find_element("css selector", "[data-refusal]").text
    shown_numbers = page.find_elements("css selector", "dl [data-shown]")
    assert {each.text for each in shown_numbers} == {"—"}
    assert {each.get_attribute("data-value") for each in shown_numbers} == {""}
    assert not page.find_elements("css selector", "svg[data-chart] path")
    page.find_element("css selector", "[data-reset]").click()
    settle(page)
    assert "—" not in {each.text for each in shown_numbers}


@pytest.mark.any_seed
def test_the_exact_floor_comes_first_and_sliders_say_short_numbers(page):
    first = page.find_elements("css selector", ".explorer dl dt")[0].text
    assert first.startswith("noise floor, exact")
    slider = page.find_element("css selector", '[data-range="lr"]')
    assert slider.get_attribute("aria-valuetext") == "0.05"
    choose(page, "lr", "")
    settle(page)
    assert slider.get_attribute("aria-valuetext") == "no value"


@pytest.mark.any_seed
@pytest.mark.usefixtures("coarse")
def test_a_recipe_with_dampening_begins_with_its_own_numbers(browser, small_problem, tmp_path):
    """Its first step is not dampened, its weight decay is a place of the slider, and its exact floor is Python's."""
    sgd = fl.SGD(lr=0.01, batch_size=4, momentum=0.6, dampening=0.3, weight_decay=0.037, sampling="without_replacement")
    verdict = surveyed(fl.verify(small_problem, sgd, steps=64, replicas=8, rng=1), small_problem)
    browser.get(save_report(verdict, tmp_path / "report.html", brief=[0]).as_uri())
    prediction = fl.predict(small_problem, sgd, theory="discrete")
    assert shown(browser, "floor") == pytest.approx(prediction.excess_loss, rel=1e-9)
    found = browser.execute_script("return document.querySelector('.explorer').found")
    np.testing.assert_allclose(found["temperatures"], prediction.temperatures, rtol=1e-9)
    curve = fl.learning_curve(small_problem, sgd, 64, theory="discrete")
    np.testing.assert_allclose(found["curve"], curve[found["steps"]], rtol=1e-9)
    exact = fl.predict(small_problem, sgd)
    assert shown(browser, "exact-floor") == pytest.approx(exact.excess_loss, rel=1e-9)
    assert shown(browser, "limit") == pytest.approx(fl.max_stable_lr(small_problem, sgd), rel=2e-3)
    assert browser.get_log("browser") == []


@pytest.mark.any_seed
@pytest.mark.usefixtures("coarse")
@pytest.mark.parametrize(("momentum", "nu"), [(0.9, 0.7), (0.9, 1.0), (0.9, 0.0), (0.0, 0.7)])
def test_quasi_hyperbolic_momentum_has_its_own_numbers(browser, small_problem, tmp_path, momentum, nu):
    qhm = fl.QHM(lr=0.02, batch_size=4, momentum=momentum, nu=nu)
    verdict = surveyed(fl.verify(small_problem, qhm, steps=64, replicas=8, rng=1), small_problem)
    browser.get(save_report(verdict, tmp_path / "report.html", brief=[0]).as_uri())
    prediction = fl.predict(small_problem, qhm, theory="discrete")
    assert shown(browser, "floor") == pytest.approx(prediction.excess_loss, rel=1e-9)
    assert shown(browser, "mean-limit") == pytest.approx(mean_stable_lr(small_problem, qhm), rel=1e-12)
    found = browser.execute_script("return document.querySelector('.explorer').found")
    np.testing.assert_allclose(found["temperatures"], prediction.temperatures, rtol=1e-9)
    curve = fl.learning_curve(small_problem, qhm, 64, theory="discrete")
    np.testing.assert_allclose(found["curve"], curve[found["steps"]], rtol=1e-9)
    assert shown(browser, "exact-floor") == pytest.approx(fl.predict(small_problem, qhm).excess_loss, rel=1e-12)
    assert shown(browser, "limit") == pytest.approx(fl.max_stable_lr(small_problem, qhm), rel=2e-3)
    assert browser.get_log("browser") == []


@pytest.mark.any_seed
def test_the_numbers_on_show_are_there_as_csv(page):
    page.execute_script("document.querySelector('[data-csv]').addEventListener('click', e => e.preventDefault())")
    page.find_element("css selector", "[data-csv]").click()
    text = page.execute_async_script(
        "fetch(document.querySelector('[data-csv]').href).then(r => r.text()).then(arguments[0])"
    )
    found = page.execute_script("return document.querySelector('.explorer').found")
    rows = [line.split(",") for line in text.splitlines()[1:]]
    assert [float(row[2]) for row in rows if row[0] == "mode"] == found["temperatures"]
    assert [float(row[2]) for row in rows if row[0] == "step"] == found["curve"]


@pytest.mark.any_seed
def test_sliders_move_with_the_keyboard_and_the_numbers_follow(page, digits_problem):
    from selenium.webdriver.common.keys import Keys

    def slider(name):
        return page.find_element("css selector", f'[data-range="{name}"]')

    before = shown(page, "floor")
    for name, keys in (
        ("lr", Keys.ARROW_LEFT * 60),
        ("batch_size", Keys.ARROW_RIGHT * 90),
        ("momentum", Keys.ARROW_RIGHT * 40),
        ("weight_decay", Keys.ARROW_RIGHT * 9),
    ):
        slider(name).send_keys(keys)
    settle(page)
    lr, batch_size, momentum = (
        float(page.find_element("css selector", f'[data-number="{name}"]').get_attribute("value"))
        for name in ("lr", "batch_size", "momentum")
    )
    gamma = float(page.find_element("css selector", '[data-shown="weight_decay"]').text)
    for name, value in (("lr", lr), ("batch_size", batch_size), ("weight_decay", gamma)):
        assert float(slider(name).get_attribute("aria-valuetext")) == value
    assert lr < 0.05
    assert batch_size > 8
    assert momentum == pytest.approx(0.4)
    assert gamma > 0
    sgd = fl.SGD(lr=lr, batch_size=int(batch_size), momentum=momentum, weight_decay=gamma)
    expected = fl.predict(digits_problem, sgd, theory="discrete").excess_loss
    assert shown(page, "floor") == pytest.approx(expected, rel=1e-9)
    page.find_element("css selector", "[data-reset]").click()
    settle(page)
    assert shown(page, "floor") == before


@pytest.mark.any_seed
def test_beyond_a_limit_the_page_says_so(page):
    choose(page, "lr", 0.19)  # between the exact limit and that of the mean
    settle(page)
    text = page.find_element("css selector", '[data-shown="exact-floor"]').text
    assert "above the exact limit" in text
    assert shown(page, "floor") > 0
    choose(page, "lr", 0.2)
    settle(page)
    assert "above the limit of the mean" in page.find_element("css selector", '[data-shown="floor"]').text
    choose(page, "lr", -1)
    settle(page)
    assert "greater than 0" in page.find_element("css selector", "[data-refusal]").text


@pytest.mark.any_seed
def test_names_from_outside_do_nothing(page):
    assert page.execute_script("return window.hacked") is None
    assert EVIL in page.find_element("tag name", "h1").text


def media(page, kind, scheme):
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": kind, "features": features})
    return page.execute_script(
        """const style = (name) => getComputedStyle(document.querySelector(name));
        return [style("body").backgroundColor, style(".explorer").display]"""
    )


@pytest.mark.any_seed
def test_it_is_dark_where_asked_for_and_prints_on_white_without_the_sliders(page):
    try:
        (light, on_screen), (dark, _), (paper, printed) = (
            media(page, *given) for given in (("screen", "light"), ("screen", "dark"), ("print", "dark"))
        )
        assert light == paper == "rgb(255, 255, 255)"
        assert dark not in (light, "rgba(0, 0, 0, 0)")
        assert (on_screen, printed) == ("block", "none")
    finally:
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})


@pytest.mark.any_seed
@pytest.mark.parametrize("width", [360, 900])
def test_nothing_is_wider_than_the_screen(page, width):
    page.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600},
    )
    try:
        assert page.execute_script("return document.documentElement.scrollWidth") <= width
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.mark.any_seed
def test_the_page_of_a_study_has_its_figures_and_fits(browser, tmp_path, monkeypatch):
    monkeypatch.setattr(evidence, "OCTAVES", np.zeros(1))
    verdict = fl.verify(Langevin("spring", lr=0.3, temperature=0.1), steps=2000, replicas=16, rng=1)
    browser.get(save_report(verdict, tmp_path / "report.html").as_uri())
    assert len(browser.find_elements("css selector", "figure .drawn svg")) == 3
    assert len(browser.find_elements("css selector", "figure.formula math")) == 3
    assert "0.9 of the correction" in browser.find_element("css selector", "table").text
    assert browser.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")
    assert [entry for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")] == []
