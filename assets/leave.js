// From a page of Streamlit's to one of the lab's own: the browser goes there.
//
// data: {to}

export default function leave({ data }) { location.assign(new URL(data.to, document.baseURI)); }
