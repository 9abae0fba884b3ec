"""The page in headless Chromium and by its API: animate, check, bad uploads, many requests at once."""

from __future__ import annotations

import json
import re
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import numpy as np
import pytest
from PIL import Image

from fewshot_heads import read_image, read_video, write_image
from fewshot_heads.driving.motion import Motion
from fewshot_heads.media.verification import verify
from tests.conftest import write_clip

DONE = 60_000  # milliseconds in which a short job is done, also on a slow machine


@pytest.fixture(scope="module")
def clip(driver_frames, tmp_path_factory) -> Path:
    """Six frames, small."""
    path = tmp_path_factory.mktemp("clip") / "my driver.mp4"
    return write_clip(path, [frame[::2, ::2] for frame in driver_frames[:6]])


@pytest.fixture(scope="module")
def head(reenactor, mona_path, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("head") / "mona.safetensors"
    reenactor.embed([mona_path]).save(path)
    return path


def choose(page, field: str, path: Path) -> None:
    """Puts a file into a field of the page, instead of what is there."""
    clear = page.locator(f"#{field} button[aria-label='Clear']")
    if clear.count():
        clear.first.click()
    page.locator(f"#{field} input[type=file]").first.set_input_files(str(path))


def status(page, name: str, pattern: str) -> str:
    """The status of a job, as soon as it says this."""
    page.wait_for_function(
        "([place, pattern]) => new RegExp(pattern).test(document.querySelector(place).innerText)",
        arg=[f"#{name}_status [role]", pattern], timeout=DONE,
    )  # fmt: skip
    return page.inner_text(f"#{name}_status [role]").strip()


def open_tab(page, name: str) -> None:
    page.get_by_role("tab", name=name, exact=True).click()


def test_page__opens_without_a_foreign_address_and_shows_no_path(server, page):
    for tab in ("Edit", "Create", "Fine-tune", "Check", "Animate"):
        open_tab(page, tab)
    assert "people who agreed" in page.inner_text("body")
    assert str(server.folder) not in page.content()
    assert [url for url in page.asked if not url.startswith((server.url, "data:", "blob:"))] == []
    assert page.complaints == []


def test_animate__a_portrait_and_a_driver_become_a_video_that_plays(server, page, mona_path, clip, tmp_path):
    open_tab(page, "Animate")
    choose(page, "animate_portraits", mona_path)
    choose(page, "animate_driver", clip)
    page.wait_for_selector("#animate_portraits img")
    page.wait_for_selector("#animate_driver video")
    page.click("#animate_start")
    assert status(page, "animate", "Done|not|first") == "Done."
    page.wait_for_function("document.querySelector('#animate_result video')?.readyState >= 2", timeout=DONE)
    duration, width, height = page.eval_on_selector(
        "#animate_result video", "video => [video.duration, video.videoWidth, video.videoHeight]"
    )
    assert duration == pytest.approx(6 / 25, abs=0.05) and width > 300 and height > 300
    with page.expect_download() as download:
        page.locator("#animate_result [aria-label='Download']").click()
    result = tmp_path / download.value.suggested_filename
    download.value.save_as(result)
    assert result.name == "mona_lisa_my driver.mp4"
    assert verify(result) and len(list(read_video(result))) == 6

    open_tab(page, "Check")
    choose(page, "check_file", result)
    page.wait_for_selector("#check_result table")
    text = page.inner_text("#check_result")
    assert "marked as synthetic media" in text and "fewshot_heads" in text and result.name in text


def test_example__is_filled_in_wherever_the_server_was_started(page):
    open_tab(page, "Animate")
    page.get_by_role("button", name="Try Mona Lisa and a laughing woman").click()
    page.wait_for_selector("#animate_portraits img")
    page.wait_for_selector("#animate_driver video")


def preview(page, before: str) -> tuple[str, np.ndarray]:
    """The next face that the tab Edit shows after that address: its address, and int [H, W, 3]."""
    page.wait_for_function(
        "before => { const face = document.querySelector('#edit_preview img'); return face && face.src !== before; }",
        arg=before, timeout=DONE,
    )  # fmt: skip
    address = page.get_attribute("#edit_preview img", "src")
    with urlopen(address) as answer:
        return address, np.array(Image.open(answer)).astype(int)


def test_edit__sliders_move_the_face_which_is_saved_as_a_picture_and_as_a_pose(page, mona, mona_path, tmp_path):
    open_tab(page, "Edit")
    choose(page, "edit_portraits", mona_path)
    address, neutral = preview(page, "")
    page.locator("#edit_yaw input[type=number]").fill("20")
    page.locator("#edit_yaw input[type=number]").press("Enter")
    address, turned = preview(page, address)
    assert abs(turned - neutral).mean() > 4
    for button in ("picture", "pose"):
        page.click(f"#edit_{button}")
        page.wait_for_selector(
            f"#edit_result a[download$='{'png' if button == 'picture' else 'safetensors'}']", timeout=DONE
        )
        with page.expect_download() as download:
            page.locator("#edit_result a[download]").first.click()
        download.value.save_as(tmp_path / download.value.suggested_filename)
    picture = read_image(tmp_path / "mona_lisa_edited.png")
    assert picture.shape == mona.shape and abs(picture.astype(int) - mona).mean() > 4
    assert verify(tmp_path / "mona_lisa_edited.png")
    assert len(Motion.load(tmp_path / "mona_lisa_edited.safetensors")) == 2
    page.click("#edit_neutral")
    assert abs(preview(page, address)[1] - neutral).mean() < 1


def test_check__a_file_without_a_mark_is_told(page, mona_path):
    open_tab(page, "Check")
    choose(page, "check_file", mona_path)
    page.wait_for_function("document.getElementById('check_result').innerText.includes('No mark')", timeout=DONE)
    assert "mona_lisa.jpg" in page.inner_text("#check_result")


def test_check__a_text_is_no_file_without_a_mark(page, tmp_path):
    (tmp_path / "words.jpg").write_text("these are words")
    open_tab(page, "Check")
    choose(page, "check_file", tmp_path / "words.jpg")
    page.wait_for_function("document.getElementById('check_result').innerText.includes('words.jpg')", timeout=DONE)
    assert "no picture or video that can be read" in page.inner_text("#check_result")


@pytest.mark.parametrize("what", ["text", "no_face", "too_long"])
def test_bad_upload__is_told_in_one_sentence_and_the_server_lives_on(server, page, mona_path, clip, tmp_path, what):
    portrait, driver = mona_path, clip
    if what == "text":
        portrait = tmp_path / "notes.jpg"
        portrait.write_text("these are words")
        expected = r"^notes\.jpg: not a picture that can be read; save it as JPEG or PNG\.$"
    elif what == "no_face":
        portrait = tmp_path / "sky.png"
        write_image(portrait, np.tile(np.linspace(90, 200, 256).astype(np.uint8)[:, None, None], (1, 256, 3)))
        expected = r"^sky\.png: .*face.*\.$"
    else:
        driver = write_clip(tmp_path / "long.mp4", np.zeros((70, 64, 64, 3), np.uint8))
        expected = r"^long\.mp4: 3 s long; 2 s are allowed here, cut it shorter\.$"
    open_tab(page, "Animate")
    choose(page, "animate_portraits", portrait)
    choose(page, "animate_driver", driver)
    page.wait_for_selector("#animate_portraits img")
    page.wait_for_selector("#animate_driver video")
    page.click("#animate_start")
    line = status(page, "animate", re.escape(expected.split("\\")[0].lstrip("^")))
    assert re.match(expected, line) and "\n" not in line
    assert server.is_alive()


def test_too_large_upload__is_refused_while_it_comes(server, page, tmp_path):
    large = tmp_path / "large.mp4"
    large.write_bytes(bytes(2**21))
    open_tab(page, "Animate")
    choose(page, "animate_driver", large)
    toast = page.get_by_text(re.compile("exceeds|maximum|too large", re.IGNORECASE)).first
    toast.wait_for()
    assert str(server.folder) not in page.content().replace("file=" + str(server.folder), "")
    assert server.is_alive()
    assert not [path for path in server.folder.rglob("*") if path.is_file() and path.stat().st_size > 2**20]


def test_cancel__ends_a_job_and_the_next_one_is_done(server, page, mona_path, clip):
    page.goto(server.url)
    choose(page, "animate_portraits", mona_path)
    choose(page, "animate_driver", clip)
    page.wait_for_selector("#animate_portraits img")
    page.wait_for_selector("#animate_driver video")
    page.click("#animate_start")
    status(page, "animate", "Reading|Animating")
    page.click("#animate_cancel")
    assert status(page, "animate", "Cancelled") == "Cancelled."
    page.wait_for_timeout(500)  # a click within milliseconds still belongs to the job before
    page.click("#animate_start")
    assert status(page, "animate", "Done") == "Done."


@pytest.mark.parametrize("width", [1280, 390])
def test_layout__fits_the_window(page, width):
    page.set_viewport_size({"width": width, "height": 900})
    for tab in ("Edit", "Create", "Fine-tune", "Check", "Animate"):
        open_tab(page, tab)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, tab
    page.set_viewport_size({"width": 1280, "height": 900})


@pytest.mark.parametrize("name", ["animate", "fine_tune"])
def test_progress__is_in_sight_beside_the_button(server, page, name):
    page.goto(server.url)
    open_tab(page, {"animate": "Animate", "fine_tune": "Fine-tune"}[name])
    page.set_viewport_size({"width": 1280, "height": 600})
    page.locator(f"#{name}_start").scroll_into_view_if_needed()
    page.click(f"#{name}_start")
    assert status(page, name, "first") == "Choose a portrait first."
    place = page.locator(f"#{name}_status [role]").bounding_box()
    page.set_viewport_size({"width": 1280, "height": 900})
    assert place["y"] >= 0 and place["y"] + place["height"] <= 600


@pytest.mark.parametrize("path", ["/etc/passwd", "setup.cfg", "{here}", "{folder}/../x", "http://127.0.0.1/"])
def test_files__of_the_server_cannot_be_read(server, path):
    path = path.format(here=__file__, folder=server.folder)
    with pytest.raises(HTTPError) as caught:
        urlopen(f"{server.url}gradio_api/file={path}", timeout=20)
    assert caught.value.code in (403, 404)


def test_api__takes_no_file_of_the_server_and_no_address(server):
    for path in (__file__, f"{server.url}config"):
        data = {"data": [{"path": path, "meta": {"_type": "gradio.FileData"}}]}
        kind = {"Content-Type": "application/json"}
        call = Request(f"{server.url}gradio_api/call/check", json.dumps(data).encode(), kind)
        event = json.load(urlopen(call, timeout=20))["event_id"]
        answer = urlopen(f"{server.url}gradio_api/call/check/{event}", timeout=60).read().decode()
        assert answer.startswith("event: error") and "mark" not in answer, answer
    assert server.is_alive()


def test_twenty_requests_at_once__are_all_answered_in_bounded_memory(server, head, clip, tmp_path):
    client_of = pytest.importorskip("gradio_client")
    client = client_of.Client(server.url, verbose=False, download_files=False)
    portrait = client_of.handle_file(str(head))
    driver = client_of.handle_file(str(write_clip(tmp_path / "tiny.mp4", list(read_video(clip))[:2])))

    def animate():
        return client.submit(
            [], portrait, None, driver, None, "relative", "driver", True, False, *[1.0] * 6, api_name="/animate"
        )

    animate().result(timeout=60)
    before = server.peak_mib()
    jobs = [animate() if i % 5 == 0 else client.submit(driver, api_name="/check") for i in range(20)]
    answers = [job.result(timeout=120) for job in jobs]
    assert all("Done" in status and "tiny.mp4" in str(video) for status, video in answers[::5])
    assert len({str(video) for _, video in answers[::5]}) == 4
    assert all("No mark" in answer for i, answer in enumerate(answers) if i % 5)
    assert server.peak_mib() < before + 300
    assert server.is_alive()
