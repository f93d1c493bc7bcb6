"""The script that Streamlit runs, alone in its folder: next to `pages/`, Streamlit would take that for its menu."""
