"""One thread a process: the tests of several files run side by side, a process a core."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

LONG = (  # these files first: a process that meets one of them last keeps all others waiting
    "test_readme.py",
    "test_onnx_file.py",
    "test_distributed.py",
    "test_end_to_end.py",
    "test_specialists.py",
    "test_export_student.py",
    "test_page.py",
    "test_page_in_browser.py",
    "test_make_mel.py",
    "test_web.py",
    "test_models.py",
    "test_tag_audio.py",
    "test_device.py",
)


def pytest_collection_modifyitems(items):
    places = {name: place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: places.get(item.path.name, len(LONG)))
