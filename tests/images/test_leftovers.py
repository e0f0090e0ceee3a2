"""What a worker that died while it wrote has left behind in the folder of files."""

import os

from services.images.files import WRITING_S, Files, key_of


async def test_a_file_that_was_never_finished_is_removed_when_its_picture_is_kept(tmp_path):
    files = Files(tmp_path.as_uri())
    kept, other = key_of("acme", "image", "kept"), key_of("acme", "image2", "other")
    await files.put(kept, b"a picture")
    (tmp_path / "acme" / "image2").mkdir()
    # As the local store names what it is writing.
    for name in (f"{kept}#1", f"{kept}#2", f"{other}#1"):
        (tmp_path / name).write_bytes(b"half a pic")
    for name in (f"{kept}#1", f"{other}#1"):
        written = (tmp_path / name).stat().st_mtime
        os.utime(tmp_path / name, (written, written - WRITING_S - 1))

    await files.keep_only(kept)

    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    # The second one may be another worker's, who writes at this moment.
    assert left == {kept, f"{kept}#2", f"{other}#1"}
