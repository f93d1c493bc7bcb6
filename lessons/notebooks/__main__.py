"""Write all notebooks."""

from lessons import all_lessons
from lessons.notebooks import FOLDER, file_name, notebook

for lesson in all_lessons():
    (FOLDER / file_name(lesson)).write_bytes(notebook(lesson))
