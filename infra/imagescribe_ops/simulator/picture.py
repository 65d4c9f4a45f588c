"""Describe a picture from its pixels: modest, real, and labelled as the simulator's.

The words come from a copy of at most 64 pixels a side: size and orientation, the main colours, light, warmth,
texture, and where the detail sits. The same pixels give the same words.
"""

import math
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock

from PIL import Image, ImageFilter, ImageOps, ImageStat

from imagescribe_ops.contract.picture import UndecodableError, opened

LABEL = "Simulated description: "

_SIDE = 64
_REMEMBERED = 10_000

# A painter's names rather than a browser's: the nearest one by eye names a colour.
_COLOURS = {
    "black": (12, 12, 14),
    "charcoal": (52, 54, 58),
    "grey": (128, 128, 128),
    "dark grey": (88, 88, 90),
    "ash grey": (160, 160, 162),
    "silver": (190, 192, 196),
    "white": (248, 248, 248),
    "cream": (244, 232, 206),
    "beige": (226, 206, 178),
    "sand": (208, 184, 142),
    "ochre": (196, 140, 50),
    "brown": (110, 72, 44),
    "umber": (62, 44, 34),
    "rust": (172, 82, 34),
    "brick red": (150, 58, 44),
    "red": (210, 34, 40),
    "crimson": (140, 16, 44),
    "coral": (244, 124, 100),
    "orange": (242, 134, 32),
    "gold": (222, 176, 44),
    "yellow": (248, 226, 60),
    "olive": (112, 116, 44),
    "lime green": (150, 208, 58),
    "moss green": (74, 84, 36),
    "green": (48, 146, 62),
    "forest green": (30, 72, 38),
    "sage": (152, 168, 136),
    "teal": (22, 124, 124),
    "turquoise": (66, 200, 196),
    "sky blue": (136, 190, 232),
    "pale blue": (190, 208, 226),
    "steel blue": (120, 148, 178),
    "blue": (36, 92, 204),
    "slate blue": (88, 108, 138),
    "navy": (22, 32, 78),
    "violet": (122, 72, 180),
    "lavender": (186, 172, 220),
    "purple": (96, 30, 96),
    "pink": (240, 164, 190),
    "magenta": (214, 42, 142),
}
_ROWS = ("upper", "middle", "lower")
_COLUMNS = ("left", "centre", "right")


def describe(content: bytes) -> str:
    """Give the prompt for an encoded picture.

    Raises
    ------
    UndecodableError
        The bytes are not a whole JPEG, PNG or WebP, or hold more than 100 million pixels.
    """
    size, small = _open_small(content)
    colours = _palette(small)
    prompt = f"{_shape(size)} of a scene in {_join(colours)}, {_light(small)}, {_composition(small)}, {_texture(small)}"
    return f"{LABEL}{prompt} ({size[0]}x{size[1]})"


class Describer:
    """Describes, and remembers what came of it: thousands of calls for a few pictures cost little. Safe for threads."""

    def __init__(self) -> None:
        # One picture at a time: decoding is the only work here that needs much processor and memory.
        self._lock = Lock()
        self._seen: OrderedDict[str, _Seen] = OrderedDict()

    def describe(self, sha256: str, content: bytes) -> str:
        """Give the prompt for an encoded picture whose digest is known; raises as the function `describe` does."""
        with self._lock:
            seen = self._seen.get(sha256)
            if seen is None:
                try:
                    seen = _Seen(prompt=describe(content))
                except UndecodableError as error:
                    seen = _Seen(undecodable=str(error))
                self._seen[sha256] = seen
                if len(self._seen) > _REMEMBERED:
                    self._seen.popitem(last=False)
        if seen.undecodable:
            raise UndecodableError(seen.undecodable)
        return seen.prompt


@dataclass(frozen=True, slots=True)
class _Seen:
    """What came of a picture the first time: words only, so that no picture is kept."""

    prompt: str = ""
    undecodable: str = ""


def _open_small(content: bytes) -> tuple[tuple[int, int], Image.Image]:
    """Decode to an RGB copy of at most 64 pixels a side, and give the picture's own size, upright."""
    with opened(content) as picture:
        width, height = picture.size
        # A JPEG can be decoded at an eighth of its size, which costs about a tenth of the time.
        picture.draft("RGB", (2 * _SIDE, 2 * _SIDE))
        # Sixteen bits of grey can't be scaled down as they are, and converting alone would clip them.
        small = picture.point(lambda grey: grey / 256).convert("L") if picture.mode[0] == "I" else picture
        small.thumbnail((_SIDE, _SIDE), Image.Resampling.BOX, reducing_gap=2.0)
        upright = ImageOps.exif_transpose(small)
        if (upright.width > upright.height) != (small.width > small.height):
            width, height = height, width
        layer = upright.convert("RGBA")
    paper = Image.new("RGBA", layer.size, "white")
    return (width, height), Image.alpha_composite(paper, layer).convert("RGB")


def _shape(size: tuple[int, int]) -> str:
    width, height = size
    ratio = width / height
    match ratio:
        case _ if ratio >= 2:
            shape = "a panorama"
        case _ if ratio > 1.05:
            shape = "a landscape-format picture"
        case _ if ratio >= 0.95:
            shape = "a square picture"
        case _ if ratio > 0.5:
            shape = "a portrait-format picture"
        case _:
            shape = "a tall, narrow picture"
    match width * height:
        case pixels if pixels >= 2_000_000:
            return f"{shape} in high resolution"
        case pixels if pixels < 40_000:
            return f"{shape} in small size"
        case _:
            return shape


def _palette(small: Image.Image) -> list[str]:
    """Name the main colours, the most striking first: at most four, none under a twenty-fifth of the picture."""
    # Five bits a channel: far finer than the names are, and far fewer colours to name.
    counted = ImageOps.posterize(small, 5).getcolors(_SIDE * _SIDE) or []
    shares: dict[str, int] = {}
    for count, colour in counted:
        if isinstance(colour, tuple):
            name = _name(colour)
            shares[name] = shares.get(name, 0) + count
    total = sum(shares.values())
    ranked = sorted(shares, key=lambda name: (-shares[name] * _weight(name), name))
    large = [name for name in ranked if shares[name] * 25 >= total]
    return (large or ranked)[:4]


def _weight(name: str) -> float:
    """Tell how much a colour strikes the eye: a patch of blue sky counts for more than its size among greys."""
    colour = _COLOURS[name]
    return 0.4 + (max(colour) - min(colour)) / 255


def _name(colour: Sequence[int]) -> str:
    return min(_COLOURS, key=lambda name: _distance(colour, _COLOURS[name]))


def _distance(one: Sequence[int], other: Sequence[int]) -> float:
    """Give the "redmean" distance: close to what the eye sees, at the price of three products."""
    mean_red = (one[0] + other[0]) / 2
    red, green, blue = (a - b for a, b in zip(one, other, strict=True))
    return (2 + mean_red / 256) * red * red + 4 * green * green + (2 + (255 - mean_red) / 256) * blue * blue


def _light(small: Image.Image) -> str:
    grey = ImageStat.Stat(small.convert("L"))
    red, _, blue = ImageStat.Stat(small).mean
    saturation = ImageStat.Stat(small.convert("HSV").getchannel("S")).mean[0]
    match grey.mean[0]:
        case mean if mean >= 180:
            light = "bright, high-key light"
        case mean if mean >= 90:
            light = "even light"
        case mean if mean >= 45:
            light = "low, moody light"
        case _:
            light = "deep darkness"
    contrast = (
        "strong contrast" if grey.stddev[0] >= 62 else "soft contrast" if grey.stddev[0] < 32 else "clear contrast"
    )
    if saturation < 24:
        tone = "an almost colourless, monochrome tone"
    elif abs(red - blue) < 12:
        tone = "a neutral tone"
    else:
        tone = f"a {'vivid, ' if saturation >= 120 else ''}{'warm' if red > blue else 'cool'} tone"
    return f"{light}, {contrast}, {tone}"


@dataclass(frozen=True, slots=True)
class _Detail:
    """Where the edges are: their mean strength, and the strength in each third of the picture, row by row."""

    mean: float
    thirds: tuple[tuple[float, ...], ...]


def _detail(small: Image.Image) -> _Detail:
    edges = small.convert("L").filter(ImageFilter.FIND_EDGES)
    # The filter copies the outermost pixels instead of working on them: they would count as edges.
    if min(edges.size) > 4:
        edges = ImageOps.crop(edges, 1)
    width, height = edges.size
    thirds = []
    for row in range(3):
        top = min(row * height // 3, height - 1)
        bottom = max(top + 1, (row + 1) * height // 3)
        bounds = [min(column * width // 3, width - 1) for column in range(3)]
        ends = [max(start + 1, (column + 1) * width // 3) for column, start in enumerate(bounds)]
        cells = (edges.crop((start, top, end, bottom)) for start, end in zip(bounds, ends, strict=True))
        thirds.append(tuple(ImageStat.Stat(cell).mean[0] for cell in cells))
    return _Detail(mean=ImageStat.Stat(edges).mean[0], thirds=tuple(thirds))


def _composition(small: Image.Image) -> str:
    detail = _detail(small)
    cells = [(strength, row, column) for row, line in enumerate(detail.thirds) for column, strength in enumerate(line)]
    strongest, row, column = max(cells, key=lambda cell: (cell[0], -cell[1], -cell[2]))
    mean = math.fsum(cell[0] for cell in cells) / len(cells)
    if strongest < 2:
        return "with nothing but colour in the picture's frame"
    if strongest < 1.35 * mean:
        place = "spread evenly over the frame"
    elif (row, column) == (1, 1):
        place = "gathered in the centre of the frame"
    elif row == 1:
        place = f"gathered in the {_COLUMNS[column]} third"
    elif column == 1:
        place = f"gathered in the {_ROWS[row]} third"
    else:
        place = f"gathered in the {_ROWS[row]} {_COLUMNS[column]} corner"
    return f"with the picture's detail {place}"


def _texture(small: Image.Image) -> str:
    match _detail(small).mean:
        case mean if mean >= 45:
            return "richly textured"
        case mean if mean >= 16:
            return "moderately textured"
        case mean if mean >= 2:
            return "smooth, with few edges"
        case _:
            return "perfectly flat"


def _join(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
