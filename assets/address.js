// Where Streamlit's page finds its server: at this address's root, whatever page was asked for. Else it looks below that
// page first, which is a failed request or two, and asks for a configuration before it opens its socket.

window.__streamlit = {
  BACKEND_BASE_URL: `${location.origin}/`,
  HOST_CONFIG: { allowedOrigins: [location.origin], useExternalAuthToken: false },
};
