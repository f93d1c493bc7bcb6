"""Write all notebooks."""

from lessons import all_lessons
from lessons.notebooks import FOLDER, file_name, notebook
from lessons.notebooks.page import FILE, page_notebook

for lesson in all_lessons():
    (FOLDER / file_name(lesson)).write_bytes(notebook(lesson))
FILE.write_bytes(page_notebook())
