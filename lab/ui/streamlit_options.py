"""What the lab sets of Streamlit, in one table for every way of starting it. No file on the machine is needed.

Flags outrank Streamlit's files and variables, so a page is the same in whatever folder the lab is started.
"""

Option = str | int | bool

OPTIONS: dict[str, Option] = {
    "browser.gatherUsageStats": False,
    "server.showEmailPrompt": False,  # on a machine's first start it would wait for an answer in the terminal
    "logger.hideWelcomeMessage": True,  # and with it what Streamlit advertises, in the terminal and over the page
    "client.toolbarMode": "minimal",
    "client.showErrorDetails": "none",
    "server.fileWatcherType": "none",
    "server.maxUploadSize": 12,  # MB
    # MB. The guard judges what a browser sends; this bounds what is read before that. It bounds a page's data too: a
    # recording of 12 MB becomes a picture of less than 9.
    "server.maxMessageSize": 9,
    # Streamlit collects garbage after every rerun; with a full interpreter that takes longer than the rerun itself.
    "runner.postScriptGC": False,
    # One thread a page: what is asked while it is drawn is heard at its next element. Streamlit's own way is a second
    # thread on the same session, and what the first has drawn is dropped.
    "runner.fastReruns": False,
    # A field that the session fills in also has its value as a default: lab/clusters/advisor_form.py says why.
    "global.disableWidgetStateDuplicationWarning": True,
    "theme.primaryColor": "#0072b2",
    "theme.dark.primaryColor": "#56b4e9",
}


def flags(**options: Option) -> list[str]:
    """The table as `streamlit run` takes it, and `options` of the section server: port=8501 is --server.port=8501."""
    all_options = OPTIONS | {f"server.{name}": value for name, value in options.items()}
    return [
        f"--{name}={str(value).lower() if isinstance(value, bool) else value}" for name, value in all_options.items()
    ]
