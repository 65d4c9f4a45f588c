#!/bin/sh
# Makes the files beside it anew, of events/samples/cat.png: with libheif-examples, libavif-bin, webp, libtiff-tools,
# imagemagick, libimage-exiftool-perl and ffmpeg of Debian 12. None of them shares an encoder with the imaging function.
set -eu
cd "$(dirname "$0")"
im=/usr/bin/convert
$im ../../../../events/samples/cat.png -resize 120x -strip cat.png
$im cat.png -alpha set -region 40x80+0+0 -alpha transparent +region -strip clear.png # its left third can be seen through

$im cat.png -quality 92 cat.jpg
$im cat.png -quality 92 -interlace Plane progressive.jpg
$im cat.png -colorspace CMYK -quality 95 cmyk.jpg
$im cat.png -colorspace Gray -quality 92 grey.jpg
$im cat.png -rotate -90 -quality 92 turned.jpg # on its side, and says so
exiftool -q -overwrite_original -n -Orientation=6 -Model=SecretCamera -GPSLatitude=48.2 -GPSLatitudeRef=N \
    -GPSLongitude=16.3 -GPSLongitudeRef=E -XMP:Creator=SecretName -IPTC:Keywords=SecretWord -Comment=SecretRemark turned.jpg

heif-enc -q 85 cat.jpg -o cat.heic
exiftool -q -overwrite_original -n -Model=SecretCamera -GPSLatitude=48.2 -GPSLatitudeRef=N -XMP:Creator=SecretName cat.heic
heif-enc -q 85 clear.png -o clear.heic

avifenc -s 6 --min 10 --max 15 cat.png cat.avif >/dev/null
avifenc -s 6 --min 10 --max 15 -d 10 clear.png clear.avif >/dev/null
$im cat.png -rotate 90 turned.png && avifenc -s 6 --min 10 --max 15 --irot 1 turned.png turned.avif >/dev/null && rm turned.png

$im cat.png -compress LZW cat.tiff
$im cat.png -depth 16 -compress Zip sixteen-bit.tiff
$im cat.png -colorspace CMYK -compress LZW cmyk.tiff
$im clear.png -compress LZW clear.tiff
$im cat.png -colorspace Gray -depth 16 -compress LZW grey-sixteen-bit.tiff
$im cat.png -colorspace Gray -threshold 50% -compress Group4 fax.tiff
$im cat.png cat.png -compress JPEG two-pages.tiff
tiffcp -8 -t -w 32 -l 32 cat.tiff tiles-bigtiff.tiff

$im cat.png -colors 256 cat.gif
$im clear.png clear.gif
$im -delay 10 cat.png \( cat.png -negate \) -loop 0 animated.gif
gif2webp -quiet -q 90 animated.gif -o animated.webp

$im cat.png BMP3:cat.bmp
$im cat.png -colors 256 -compress RLE BMP3:run-length.bmp

$im cat.png -depth 16 -define png:bit-depth=16 sixteen-bit.png
heif-enc -q 85 -b 10 sixteen-bit.png -o ten-bit.heic
$im cat.png -colorspace Gray -define png:bit-depth=16 -define png:color-type=0 grey-sixteen-bit.png
$im clear.png -colors 256 PNG8:palette.png
cwebp -quiet -q 90 cat.png -o cat.webp
cwebp -quiet -lossless clear.png -o clear.webp

ffmpeg -loglevel error -y -loop 1 -framerate 10 -i cat.png -t 0.3 -c:v libx264 -pix_fmt yuv420p -map_metadata -1 \
    -fflags +bitexact live.mov # as the moving part of a Live Photo begins
