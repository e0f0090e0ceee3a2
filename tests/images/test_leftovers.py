"""What a worker that died while it wrote has left behind in the folder of files."""

from services.images.files import Files, key_of


async def test_a_file_that_was_never_finished_is_removed_when_its_picture_is_kept(tmp_path):
    files = Files(tmp_path.as_uri())
    kept, other = key_of("acme", "image", "kept"), key_of("acme", "image2", "other")
    await files.put(kept, b"a picture")
    (tmp_path / "acme" / "image2").mkdir()
    # As the local store names what it is writing.
    for key in (kept, other):
        (tmp_path / f"{key}#1").write_bytes(b"half a pic")

    await files.keep_only(kept)

    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {kept, f"{other}#1"}
