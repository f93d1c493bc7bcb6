"""The lab: pages that show every run as a kitchen. The only place that knows Streamlit and the kitchen's words."""
