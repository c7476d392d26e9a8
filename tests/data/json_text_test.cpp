#include "data/json_text.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/rng.h"
#include "data/text_error.h"

namespace rk {
namespace {

std::string text_of(const std::string& line) {
  std::string unescaped;
  return std::string(json_text(line, "text", unescaped));
}

// The place and reason of a refusal.
std::string refusal(const std::string& line) {
  try {
    return "accepted: " + text_of(line);
  } catch (const TextError& e) {
    return cat(e.offset(), ": ", e.what());
  }
}

TEST(JsonText, FindsTheText) {
  EXPECT_EQ(text_of(R"({"text": "a"})"), "a");
  EXPECT_EQ(text_of("\t{ \"a\" :\r\n 1 , \"text\"\t: \"b\" } "), "b");
  EXPECT_EQ(text_of(R"({"text":""})"), "");
  EXPECT_EQ(text_of(R"({"meta": {"text": "inner", "l": [1, -0.5e+3, true, null, {"x": []}, "text"]}, "text": "outer", "z": {}})"), "outer");
}

TEST(JsonText, Escapes) {
  EXPECT_EQ(text_of(R"({"text": "\" \\ \/ \b \f \n \r \t"})"), "\" \\ / \b \f \n \r \t");
  EXPECT_EQ(text_of(R"({"text": "\u00e9\u4F60\ud83D\uDE00\u0000!"})"), std::string("\xC3\xA9\xE4\xBD\xA0\xF0\x9F\x98\x80\0!", 11));
  EXPECT_EQ(text_of(R"({"te\u0078t": "key"})"), "key");
}

TEST(JsonText, TheLastOfEqualKeysCounts) {
  EXPECT_EQ(text_of(R"({"text": "a", "text": "b"})"), "b");
  EXPECT_EQ(text_of(R"({"text": 5, "text": "b"})"), "b");
  EXPECT_EQ(text_of(R"({"text": "\ud800", "text": "b"})"), "b");
  EXPECT_EQ(refusal(R"({"text": "a", "text": 5})"), R"(22: the value of "text" is not a string)");
}

TEST(JsonText, LoneSurrogates) {
  for (const char* lone : {R"(\ud800)", R"(\ud800x)", R"(\udc00)", R"(\ud800\u0041)", R"(\ud800\ud800\udc00)", R"(\udc00\ud800)"}) {
    EXPECT_NE(refusal(cat(R"({"text": "ab)", lone, "\"}")).find("12: a lone surrogate"), std::string::npos) << lone;
    EXPECT_EQ(text_of(cat(R"({"x": ")", lone, R"(", "text": "b"})")), "b") << "only the text matters";
  }
}

TEST(JsonText, RefusalsNameThePlace) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", "0: the line ends early: the line is not a JSON object"},
      {"[1]", "0: the line is not a JSON object"},
      {"\"text\"", "0: the line is not a JSON object"},
      {R"({"text": "a")", "12: the line ends early: ',' or '}' is expected"},
      {R"({"text": "a",})", "13: a key in double quotes is expected"},
      {R"({'text': 'a'})", "1: a key in double quotes is expected"},
      {R"({"text" "a"})", "8: ':' is expected after a key"},
      {R"({"text": })", "9: a value is expected"},
      {R"({"text": "a"} x)", "14: something follows the JSON object"},
      {R"({"text": "a"}{"text": "b"})", "13: something follows the JSON object"},
      {R"({"txt": "a"})", R"(0: the object has no key "text")"},
      {R"({})", R"(0: the object has no key "text")"},
      {R"({"text": null})", R"(9: the value of "text" is not a string)"},
      {R"({"text": {"a": 1}})", R"(9: the value of "text" is not a string)"},
      {"{\"text\": \"a\tb\"}", "11: a raw control character (byte 9) inside a string"},
      {std::string("{\"text\": \"a\0b\"}", 15), "11: a raw control character (byte 0) inside a string"},
      {"{\"text\": \"a\xFF\"}", "11: invalid UTF-8"},
      {"{\"text\": \"a\", \"\xC3\": 1}", "15: invalid UTF-8"},
      {R"({"text": "a\q"})", "11: unknown escape in a string"},
      {R"({"text": "a\u12g4"})", "11: \\u needs four hexadecimal digits"},
      {R"({"text": "a\)", "12: the line ends early: a string has no closing quote"},
      {R"({"n": 01, "text": "a"})", "7: ',' or '}' is expected"},
      {R"({"n": 1., "text": "a"})", "8: a digit is expected after the decimal point"},
      {R"({"n": 1e, "text": "a"})", "8: a digit is expected in the exponent"},
      {R"({"n": -, "text": "a"})", "7: a value is expected"},
      {R"({"n": [1,], "text": "a"})", "9: a value is expected"},
      {R"({"n": [1}, "text": "a"})", "8: ',' or ']' is expected"},
      {R"({"n": {"a": 1], "text": "a"})", "13: ',' or '}' is expected"},
      {R"({"n": tru, "text": "a"})", "6: a value is expected"},
  };
  for (const auto& [line, expected] : cases) EXPECT_EQ(refusal(line), expected) << line;
}

TEST(JsonText, PythonsNumbersPass) { EXPECT_EQ(text_of(R"({"a": NaN, "b": -Infinity, "c": Infinity, "text": "x"})"), "x"); }

TEST(JsonText, DeepNestingNeedsNoStack) {
  const size_t depth = 2000000;
  const std::string open(depth, '['), close(depth, ']');
  EXPECT_EQ(text_of(cat("{\"m\": ", open, close, ", \"text\": \"deep\"}")), "deep");
  EXPECT_NE(refusal(cat("{\"m\": ", open)).find("the line ends early"), std::string::npos);
}

// Against another parser: lines with one byte changed are accepted and read alike (keys and values of `text` are kept whole there too).
TEST(JsonText, AgreesWithAnotherParserOnDamagedLines) {
  const std::string line = R"({"k": [1, -2.5e3, {"a": "\u00e9\n"}, true, null], "text": "caf\u00e9 \ud83d\ude00 \"x\"", "e": {}})";
  const Random random(7, 0);
  const std::string bytes = "{}[],:\"\\ 0e-.tun\x01\xC3\x80";
  for (uint64_t i = 0; i < 20000; ++i) {
    std::string damaged = line;
    const size_t at = static_cast<size_t>(random.uniform(3 * i) * static_cast<double>(line.size()));
    const char byte = bytes[static_cast<size_t>(random.uniform(3 * i + 1) * static_cast<double>(bytes.size()))];
    if (random.uniform(3 * i + 2) < 0.5) {
      damaged[at] = byte;
    } else {
      damaged.insert(at, 1, byte);
    }
    const nlohmann::json other = nlohmann::json::parse(damaged, nullptr, false);
    const std::string mine = refusal(damaged);
    if (other.is_object() && other.contains("text") && other["text"].is_string()) {
      EXPECT_EQ(mine, "accepted: " + other["text"].get<std::string>()) << damaged;
    } else {
      EXPECT_FALSE(mine.starts_with("accepted")) << damaged;
    }
  }
}

}  // namespace
}  // namespace rk
