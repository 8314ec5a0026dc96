#include "reef/model/stream_frame.h"

#include <doctest/doctest.h>

using namespace reef::model;

TEST_CASE("a frame's header is 40 bytes, little-endian, field after field") {
  const FrameHeader header{FrameType::tensor,  0x01020304,         0x05060708,
                           0x1112131415161718, 0x2122232425262728, 0x3132333435363738};
  const FrameBytes expected{'R',  'F',  'S',  '1',  2,    0,    0,    0,    0x04, 0x03, 0x02, 0x01, 0x08, 0x07,
                            0x06, 0x05, 0x18, 0x17, 0x16, 0x15, 0x14, 0x13, 0x12, 0x11, 0x28, 0x27, 0x26, 0x25,
                            0x24, 0x23, 0x22, 0x21, 0x38, 0x37, 0x36, 0x35, 0x34, 0x33, 0x32, 0x31};
  CHECK((encode_frame(header) == expected));
  CHECK((decode_frame(expected) == header));
}

TEST_CASE("what does not begin with the magic is no frame, an unknown type is one to skip") {
  FrameBytes bytes = encode_frame({.type = FrameType::end, .length = 7});
  bytes[4] = 200;
  REQUIRE(decode_frame(bytes));
  CHECK(decode_frame(bytes)->length == 7);
  bytes[3] = '2';
  CHECK_FALSE(decode_frame(bytes));
}
