"""The page in a real browser: upload, answer, slider, a broken file."""

import json
import os
import shutil
import urllib.request

import numpy as np
import pytest

from keras_tnt.app import attention_image, explain_prediction
from keras_tnt.images import decode_image, load_image
from keras_tnt.inference.classifier import load_classifier
from tests.helpers.app_runs import OTHER_PHOTO, PHOTO, make_run
from tests.helpers.app_server import serving

pytest.importorskip("gradio", reason="gradio is not installed")
webdriver = pytest.importorskip("selenium.webdriver", reason="no selenium")
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

BROWSER, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(
        not (BROWSER and DRIVER), reason="chromium or chromedriver is not installed"
    ),
]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("runs") / "pets")


@pytest.fixture(scope="module")
def server(run, tmp_path_factory):
    examples = tmp_path_factory.mktemp("examples")
    shutil.copy(OTHER_PHOTO, examples / "other.png")
    directory = tmp_path_factory.mktemp("server")
    with serving(directory, "--model", run, "--examples", examples) as running:
        yield running


class Visitor:
    """A browser on the page; no host but this one has an address in it."""

    def __init__(self, url, width=1280, height=900):
        options = webdriver.ChromeOptions()
        options.binary_location = BROWSER
        options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
        for argument in (
            "--headless=new",
            "--no-sandbox",  # which containers do not have
            "--disable-dev-shm-usage",
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        ):
            options.add_argument(argument)
        service = webdriver.ChromeService(DRIVER)
        self.driver = webdriver.Chrome(options=options, service=service)
        screen = {"width": width, "height": height}
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            screen | {"deviceScaleFactor": 1, "mobile": width < 600},
        )
        self.driver.get(url)
        self.wait(lambda: self.find("input[type=file]"))

    def wait(self, condition):
        return WebDriverWait(self.driver, 120).until(lambda _: condition())

    def find(self, selector):
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def shown(self, selector):
        return [element for element in self.find(selector) if element.is_displayed()]

    def text(self):
        return self.driver.find_element(By.TAG_NAME, "body").text

    def upload(self, path):
        for button in self.shown("button[aria-label=Clear]"):
            button.click()
        self.wait(lambda: self.find("input[type=file]"))[0].send_keys(str(path))

    def image(self, description):
        """The image shown, once it is the one described."""
        (image,) = self.wait(lambda: self.shown(f'img[alt="{description}"]'))
        with urllib.request.urlopen(image.get_attribute("src"), timeout=60) as response:
            return decode_image(response.read()).numpy()

    def requested(self):
        """The hosts that the page asked for anything."""
        messages = [
            json.loads(entry["message"])["message"]
            for entry in self.driver.get_log("performance")
        ]
        urls = [
            message["params"]["request"]["url"]
            for message in messages
            if message["method"] == "Network.requestWillBeSent"
        ]
        return {url.split("/")[2] for url in urls if not url.startswith("data:")}


@pytest.fixture
def visit(server):
    visitors = []

    def visit(**screen):
        visitors.append(Visitor(server.url, **screen))
        return visitors[-1]

    yield visit
    for visitor in visitors:
        visitor.driver.quit()


# The image with attention, not the examples.
SHOWN = 'img[alt^="Attention in block"]'


def description(block):
    return f"Attention in block {block}"


def overlay(run, path, block):
    found = explain_prediction(load_classifier(run), load_image(path))
    return attention_image(found, block)


def test_page__upload_slider_example_and_corrupt_file(visit, server, run, tmp_path):
    visitor = visit()
    assert "Classify images with pets" in visitor.text()
    assert not visitor.shown(SHOWN)
    before = server.images()

    visitor.upload(PHOTO)
    np.testing.assert_array_equal(visitor.image(description(2)), overlay(run, PHOTO, 2))
    text = visitor.text()
    for name, score in explain_prediction(
        load_classifier(run), load_image(PHOTO)
    ).classes:
        assert f"{name}\n{100 * score:.0f}%" in text
    assert "ms for the classes" in text

    (slider,) = visitor.shown("input[type=range]")
    slider.send_keys(Keys.ARROW_LEFT)
    first = visitor.image(description(1))
    np.testing.assert_array_equal(first, overlay(run, PHOTO, 1))
    assert server.images() == before + 1  # the slider only draws

    (example,) = visitor.shown(".thumbnail-item")
    example.click()
    visitor.wait(lambda: server.images() == before + 2)
    expected = overlay(run, OTHER_PHOTO, 1)
    visitor.wait(
        lambda: np.array_equal(visitor.image(description(1)), expected),
    )

    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    visitor.upload(broken)
    (message,) = visitor.wait(lambda: visitor.shown("[data-testid=toast-body]"))
    assert "'broken.png' cannot be decoded: it starts like a" in message.text
    visitor.wait(lambda: not visitor.shown(SHOWN))
    visitor.upload(PHOTO)
    visitor.image(description(1))
    assert visitor.requested() == {server.url.split("/")[2]}
    assert server.reached() == {"127.0.0.1"}


def test_page__visitors_see_their_own_images(visit, run):
    first, second = visit(), visit()
    first.upload(PHOTO)
    first.image(description(2))
    assert not second.shown(SHOWN)
    second.upload(OTHER_PHOTO)
    second.image(description(2))
    for visitor, path in ((first, PHOTO), (second, OTHER_PHOTO)):
        (slider,) = visitor.shown("input[type=range]")
        slider.send_keys(Keys.ARROW_LEFT)
        np.testing.assert_array_equal(
            visitor.image(description(1)), overlay(run, path, 1)
        )


def test_page__file_too_large(visit, tmp_path):
    large = tmp_path / "large.png"
    with large.open("wb") as file:
        os.truncate(file.fileno(), 51 * 2**20)
    visitor = visit()
    visitor.upload(large)
    visitor.wait(lambda: "maximum" in visitor.text().lower())
    assert not visitor.shown(SHOWN)


def test_page__fits_on_a_phone(visit):
    visitor = visit(width=390, height=844)
    visitor.upload(PHOTO)
    visitor.image(description(2))
    width = "return document.documentElement.scrollWidth"
    assert visitor.driver.execute_script(width) == 390
