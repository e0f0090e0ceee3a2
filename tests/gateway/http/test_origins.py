"""Origins have one spelling, and what browsers never send is none."""

import pytest

from gateway.http.origins import normal_origin

APP = "https://app.example.com"


@pytest.mark.parametrize(
    "text",
    [
        *("*", "null", "https://", "app.example.com", "https://*.example.com", "ftp://a.b"),
        *(f"{APP}/", f"{APP}/path", f"{APP}?q", "https://u@a.b", "https://a b"),
        *("https://a.b:0", "https://a.b:99999", "https://a.b:", "https://-a.b"),
        *("https://[::1", "https://[:::]", "https://[1::2::3]", "https://[fe80::1%eth0]"),
    ],
)
def test_what_browsers_never_send_is_no_origin(text):
    assert normal_origin(text) is None


@pytest.mark.parametrize(
    ("text", "spelt"),
    [
        ("HTTPS://App.Example.com:443", APP),
        ("http://localhost:05173", "http://localhost:5173"),
        ("https://my_app.example.com", "https://my_app.example.com"),
        (" https://[::1]:8443 ", "https://[::1]:8443"),
        ("http://[0:0::0001]:80", "http://[::1]"),
        # As node's `new URL(text).origin`, on every version of Python.
        ("http://[::ffff:1.2.3.4]", "http://[::ffff:102:304]"),
        ("http://[::1.2.3.4]", "http://[::102:304]"),
        ("http://[::ffff:0:0]", "http://[::ffff:0:0]"),
    ],
)
def test_an_origin_is_spelt_as_browsers_do(text, spelt):
    assert normal_origin(text) == spelt
