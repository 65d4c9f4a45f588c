"""XMP sidecars, as photographers' programs read them beside pictures of the same names.

The prompt is Dublin Core's ``description`` (in the language ``x-default``), the labels are its ``subject``, which those
programs show as keywords: https://developer.adobe.com/xmp/docs/XMPNamespaces/dc/
"""

from __future__ import annotations

import re
from typing import Final
from xml.sax.saxutils import escape

from imagescribe_ops.catalog_view import ImageRecord

XMP_SUFFIX: Final = ".xmp"

_ILLEGAL: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What no XML document may hold, not even escaped: https://www.w3.org/TR/xml/#charsets"""

_CARRIAGE_RETURN: Final = {"\r": "&#13;"}
"""A parser makes a line break of one that is not escaped: https://www.w3.org/TR/xml/#sec-line-ends"""


def xmp_text(record: ImageRecord) -> str:
    """Return the sidecar of an image. Characters that XML does not know are left out."""
    subject = ""
    if record.labels:
        items = "".join(f"<rdf:li>{_text(label)}</rdf:li>" for label in record.labels)
        subject = f"   <dc:subject><rdf:Bag>{items}</rdf:Bag></dc:subject>\n"
    description = f'<rdf:Alt><rdf:li xml:lang="x-default">{_text(record.prompt)}</rdf:li></rdf:Alt>'
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="ImageScribe">\n'
        ' <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">\n'
        '  <rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/">\n'
        f"   <dc:description>{description}</dc:description>\n"
        f"{subject}"
        "  </rdf:Description>\n"
        " </rdf:RDF>\n"
        "</x:xmpmeta>\n"
        '<?xpacket end="w"?>\n'
    )


def _text(text: str) -> str:
    return escape(_ILLEGAL.sub("", text), _CARRIAGE_RETURN)
