"""The lab: the only place that knows Streamlit, and the only place that knows the kitchen."""
