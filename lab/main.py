"""The page that Streamlit runs for every visitor: navigation, nothing else."""

import streamlit as st

from lab.export import MODULE
from lab.pages import kitchen, your_lab

st.set_page_config(page_title="Split Kitchen", page_icon=str(MODULE.with_name("icon.svg")), layout="wide")
pages = [st.Page(kitchen.page, title="Kitchen", url_path="kitchen", default=True)]
pages.append(st.Page(your_lab.page, title="Your lab", url_path="your-lab"))
st.navigation(pages, position="top").run()
