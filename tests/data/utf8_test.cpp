#include "data/utf8.h"

#include <gtest/gtest.h>

#include "data/tokenizer.h"

namespace rk {
namespace {

TEST(Utf8, EveryCharacterComesBack) {
  for (char32_t c = 0; c < 0x110000; ++c) {
    if (c == 0xD800) c = 0xE000;
    std::string text;
    append_utf8(text, c);
    const CodePoint back = first_code_point(text);
    ASSERT_TRUE(back.valid && back.value == c && static_cast<size_t>(back.n_bytes) == text.size()) << std::hex << static_cast<uint32_t>(c);
    ASSERT_EQ(valid_utf8_prefix(text), text.size());
    ASSERT_LT(valid_utf8_prefix(std::string_view(text).substr(0, text.size() - 1)), text.size());
  }
}

TEST(Utf8, InvalidForms) {
  const std::string long_ascii(100, 'a');
  for (const char* bad :
       {"\x80", "\xBF", "\xC0\x80", "\xC1\xBF", "\xE0\x9F\xBF", "\xED\xA0\x80", "\xED\xBF\xBF", "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80",
        "\xF5\x80\x80\x80", "\xFE", "\xFF", "\xC3", "\xE4\xB8", "\xF0\x9F\x98", "\xC3\x41", "\xE4\x41\x80"}) {
    EXPECT_EQ(valid_utf8_prefix(long_ascii + bad + "tail"), 100u) << bad;
  }
}

TEST(Utf8, LossyTextReplacesEachMaximalInvalidPart) {
  const std::string x = "\xEF\xBF\xBD";
  EXPECT_EQ(lossy_utf8("plain"), "plain");
  EXPECT_EQ(lossy_utf8("a\x80z"), "a" + x + "z");
  EXPECT_EQ(lossy_utf8("\xE4\xB8"), x);  // a cut character is one part
  EXPECT_EQ(lossy_utf8("\xE4\xB8z"), x + "z");
  EXPECT_EQ(lossy_utf8("\xED\xA0\x80"), x + x + x);  // no prefix of a surrogate is well-formed
  EXPECT_EQ(lossy_utf8("\xF0\x80\x80"), x + x + x);
  EXPECT_EQ(lossy_utf8("\xF1\x80\x80\xF1"), x + x);
}

}  // namespace
}  // namespace rk
