"""What is accepted as a picture, a prompt, a heading or a place for files; pure."""

import base64
import io
import random
import struct
import zlib

import pytest
from PIL import Image as Pillow
from PIL import PngImagePlugin

from chassis.model_errors import OutputInvalid
from chassis.settings import SettingsError
from services.images import pictures, prompts
from services.images.domain import clean_line, could_be_id, headings_of
from services.images.files import Files, key_of
from services.images.pictures import UnusablePictureError, picture_from_base64, picture_from_bytes


def encoded(kind="PNG", mode="RGB", size=(80, 70), **options):
    buffer = io.BytesIO()
    Pillow.new(mode, size, "red" if mode != "P" else 1).save(buffer, kind, **options)
    return buffer.getvalue()


def noise():
    """A picture that compresses badly, so that a cut goes through its pixels."""
    buffer = io.BytesIO()
    Pillow.frombytes("RGB", (80, 70), random.Random(1).randbytes(80 * 70 * 3)).save(buffer, "PNG")
    return buffer.getvalue()


def opened(picture):
    return Pillow.open(io.BytesIO(picture.png))


def bomb(width, height):
    """A tiny PNG that claims to be large."""

    def chunk(name, data):
        body = name + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0" * 1000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_picture_becomes_a_png_of_its_size(kind):
    picture = picture_from_bytes(encoded(kind))
    with opened(picture) as found:
        assert (found.format, found.size) == ("PNG", (80, 70))
        assert (picture.width, picture.height) == (80, 70)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGBA", "LA", "I;16", "CMYK"])
def test_any_mode_becomes_plain_colours(mode):
    data = encoded("JPEG" if mode == "CMYK" else "PNG", mode)
    with opened(picture_from_bytes(data)) as found:
        assert found.mode == ("RGBA" if mode in ("RGBA", "LA") else "RGB")


def test_only_the_pixels_survive():
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Comment", "<script>alert(1)</script>")
    exif = Pillow.Exif()
    exif[0x010E] = "where it was taken"
    data = encoded(pnginfo=texts, exif=exif, icc_profile=b"profile", dpi=(300, 300))
    picture = picture_from_bytes(data + b"<script>trailing</script>")
    with opened(picture) as found:
        found.load()
        assert found.info == {}
        assert not found.getexif()
    assert b"script" not in picture.png


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"GIF89a" + encoded("GIF")[6:],
        encoded("BMP"),
        encoded("TIFF"),
        noise()[:200],
        noise()[:-3000],
        encoded("JPEG")[:300],
        b"\x89PNG\r\n\x1a\n" + b"\0" * 100,
        encoded(size=(63, 200)),
        encoded(size=(8193, 64)),
        bomb(8000, 8000),
        bomb(60_000, 60_000),
        bomb(2**31 - 1, 2**31 - 1),
    ],
)
def test_anything_else_is_refused(data):
    with pytest.raises(UnusablePictureError):
        picture_from_bytes(data)


def test_files_are_bounded_before_they_are_decoded(monkeypatch):
    monkeypatch.setattr(pictures, "BYTES_MAX", 1_000)
    with pytest.raises(UnusablePictureError, match="too large"):
        picture_from_bytes(b"x" * 1_001)
    with pytest.raises(UnusablePictureError, match="too large"):
        picture_from_base64("A" * 2_000)
    assert picture_from_base64(base64.b64encode(encoded()).decode()).width == 80


@pytest.mark.parametrize("text", ["not base64!", "QUJD", "é", "A"])
def test_text_that_holds_no_picture_is_refused(text):
    with pytest.raises(UnusablePictureError):
        picture_from_base64(text)


SLOT = {"prompt": "A desk.", "alt_text": "A desk", "caption": "A desk."}
ANSWER = {"featured": SLOT, "in_article": [SLOT, SLOT]}


def test_an_answer_gives_one_featured_prompt_and_two_for_the_text():
    found = prompts.read(ANSWER)
    assert [(each.image_type, each.position) for each in found] == [
        ("featured", 0),
        ("in_article", 0),
        ("in_article", 1),
    ]


def test_more_pictures_than_asked_for_are_left_out():
    assert len(prompts.read(ANSWER | {"in_article": [SLOT] * 50})) == 3


def test_texts_are_cut_to_what_is_stored():
    long = {"prompt": "word " * 2000, "alt_text": "x" * 1000, "caption": "two words " * 100}
    found = prompts.read({"featured": long, "in_article": [long, long]})[0]
    assert len(found.prompt) <= 4000
    assert found.prompt.endswith("word")
    assert len(found.alt_text) == 300
    assert len(found.caption) <= 300


def test_a_caption_may_be_empty():
    bare = SLOT | {"caption": ""}
    assert prompts.read({"featured": bare, "in_article": [bare, bare]})[0].caption == ""


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"featured": SLOT},
        {"in_article": [SLOT, SLOT]},
        ANSWER | {"in_article": [SLOT]},
        ANSWER | {"in_article": "two"},
        ANSWER | {"in_article": [SLOT, None]},
        ANSWER | {"featured": None},
        ANSWER | {"featured": SLOT | {"prompt": " \0 "}},
        ANSWER | {"featured": SLOT | {"prompt": 3}},
        ANSWER | {"featured": SLOT | {"alt_text": ""}},
        ANSWER | {"featured": {"prompt": "A desk."}},
    ],
)
def test_an_answer_that_lacks_something_is_unusable(answer):
    with pytest.raises(OutputInvalid):
        prompts.read(answer)


def test_a_line_can_be_stored_everywhere():
    assert clean_line("a\0b\ud800c\n\td\x1b[0m\u2028e", 100) == "a bc d [0m e"
    assert clean_line("one two three", 8) == "one two"
    assert clean_line("one two three", 7) == "one two"
    assert clean_line("x" * 20, 5) == "xxxxx"


def test_headings_are_read_in_order_and_bounded():
    assert headings_of("<h1>No</h1><h2>A <em>b</em>&amp;</h2><p>x</p><h3>C</h3><h2> </h2>") == (
        "A b&",
        "C",
    )
    assert len(headings_of("<h2>Again</h2>" * 100)) == 20
    assert headings_of("<h2>" + "<b>" * 10_000) == ()
    assert headings_of("") == ()


@pytest.mark.parametrize("text", ["", "..", "a/b", "a b", "x\0", "%2e", "a" * 65, "é"])
def test_what_cannot_be_an_id(text):
    assert not could_be_id(text)


@pytest.mark.parametrize(
    "url", ["", "/srv/files", "file://host/x", "http://x/y", "s3://", "memory:///"]
)
def test_files_are_kept_in_a_folder_or_a_bucket(url):
    with pytest.raises(SettingsError, match="WRITER_FILES_URL"):
        Files(url)


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="file/files cannot be used"):
        Files((tmp_path / "file" / "files").as_uri())


async def test_a_folder_is_made_when_it_is_missing_and_files_in_it_are_replaced(tmp_path):
    folder = tmp_path / "not yet" / "there"
    files = Files(folder.as_uri())
    key = key_of("acme", "image", "hash")
    for data in (b"first", b"second"):
        await files.put(key, data)
    assert b"".join([piece async for piece in await files.read(key)]) == b"second"
    assert (folder / "acme" / "image" / "hash.png").read_bytes() == b"second"


async def test_what_a_crash_left_beside_a_file_is_removed(tmp_path):
    files = Files(tmp_path.as_uri())
    kept, left = key_of("acme", "image", "kept"), key_of("acme", "image", "left")
    other = key_of("acme", "image2", "other")
    for key in (kept, left, other):
        await files.put(key, b"x")
    await files.keep_only(kept)
    await files.delete(left)
    assert {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*.png")} == {kept, other}


async def test_an_empty_file_has_no_pieces(tmp_path):
    files = Files(tmp_path.as_uri())
    await files.put("acme/image/x.png", b"")
    assert [piece async for piece in await files.read("acme/image/x.png")] in ([], [b""])
