#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/rng.h"
#include "data/chat/python_json.h"
#include "data/sample_encoder.h"
#include "data/text_error.h"

namespace rk {
namespace {

std::unique_ptr<SampleEncoder> encoder_of(const std::string& type, const std::string& tool_format = "") {
  DataOptions options;
  options.data_type = type;
  options.loss_mask = "roles";
  options.tool_format = tool_format;
  return make_sample_encoder(options, make_bytes_tokenizer());
}

// "" = accepted; otherwise place and reason.
std::string refusal(const SampleEncoder& encoder, const std::string& line) {
  EncodedSample sample;
  try {
    encoder.encode(line, sample);
    return "";
  } catch (const TextError& e) {
    return cat(e.offset(), ": ", e.what());
  }
}

TEST(HostileConversations, RefusalsNameThePlaceAndWhatIsExpected) {
  const std::pair<const char*, const char*> cases[] = {
      {"", "0: the line ends early: a JSON object is expected"},
      {"[]", "0: a JSON object is expected"},
      {"{}", R"(0: the object has neither "conversations" nor "messages")"},
      {R"({"conversations": "x"})", "18: a conversation is a JSON array of messages {\"from\", \"value\"}"},
      {R"({"conversations": [5]})", "19: a JSON object is expected"},
      {R"({"conversations": [{}]})", R"(19: the object has neither "from" nor "role")"},
      {R"({"conversations": [{"from": "human"}]})", R"(19: the object has neither "value" nor "content")"},
      {R"({"conversations": [{"from": "human", "value": 5}]})", R"(46: the value of "value" is not a string)"},
      {R"({"conversations": [{"from": null, "value": ""}]})", R"(28: the value of "from" is not a string)"},
      {R"({"conversations": [{"from": "robot", "value": ""}]})",
       "28: the role \"robot\" is not known; human, user, gpt, assistant, system, observation, tool or function_call is expected"},
      {R"({"conversations": [{"from": "human", "value": "\ud800"}]})", "47: a lone surrogate (half a character) in the text"},
      {R"({"conversations": [{"from": "human", "value": "x"},]})", "51: a value is expected"},
      {R"({"conversations": [{"from": "human", "value": "x"})", "50: the line ends early: ',' or ']' is expected"},
      {"{\"conversations\": [], \"x\": \"\xFF\"}", "28: invalid UTF-8"},
      {R"({"conversations": []} x)", "22: something follows the JSON object"},
      {R"({"conversations": [{"from": "human", "value": "x"}, {"from": "function_call", "value": "no json"}]})",
       "0: a function_call is not JSON, or too deep or too large; {\"name\": ..., \"arguments\": ...} is expected"},
  };
  const auto encoder = encoder_of("sharegpt");
  for (const auto& [line, expected] : cases) EXPECT_EQ(refusal(*encoder, line), expected) << line;
  EXPECT_EQ(refusal(*encoder_of("alpaca"), R"({"instruction": "x"})"), R"(0: the object has no key "output")");
  EXPECT_EQ(refusal(*encoder_of("alpaca"), R"({"instruction": "x", "output": ["y"]})"), R"(31: the value of "output" is not a string)");
}

TEST(HostileConversations, DepthNeedsNoStack) {
  const std::string open(2000000, '['), close(2000000, ']');
  const auto encoder = encoder_of("sharegpt", "qwen");
  EXPECT_EQ(refusal(*encoder, cat("{\"x\": ", open, close, ", \"conversations\": []}")), "");
  EXPECT_NE(refusal(*encoder, cat("{\"conversations\": ", open, close, "}")), "");
  EXPECT_NE(refusal(*encoder, cat("{\"conversations\": [], \"tools\": \"", open, close, "\"}")), "");
  EXPECT_NE(refusal(*encoder, cat("{\"conversations\": [], \"tools\": ", open, close, "}")), "");
  EXPECT_NE(refusal(*encoder, cat(R"({"conversations": [{"from": "human", "value": ""}, {"from": "function_call", "value": ")", open, close,
                                  "\"}]}")),
            "");
}

TEST(HostileConversations, ManyKeysOfToolsAreRefusedSoon) {
  std::string keys;
  for (int i = 0; i < 200000; ++i) keys += cat(i == 0 ? "" : ",", "\\\"k", i, "\\\":0");
  EXPECT_NE(refusal(*encoder_of("sharegpt", "qwen"), cat(R"({"conversations": [], "tools": "[{)", keys, R"(}]"})")), "");
}

// Lines with one to three changed bytes are read or refused; nothing else happens.
TEST(HostileConversations, DamagedLines) {
  const std::string line =
      R"({"system": "s", "tools": "[{\"name\": \"f\", \"parameters\": {\"properties\": {\"p\": {\"enum\": [1, \"x\"]}}}}]", "conversations": [)"
      R"({"from": "human", "value": "caf\u00e9 \ud83d\ude00"}, {"from": "function_call", "value": "{\"name\": \"f\", \"arguments\": {}}"},)"
      R"( {"from": "observation", "value": "1"}, {"from": "gpt", "value": "x"}]})";
  const std::string bytes = "{}[],:\"\\ 0e-.tun\x01\xC3\x80";
  const Random random(11, 0);
  for (const char* format : {"none", "default", "glm4", "mistral", "qwen"}) {
    const auto encoder = encoder_of("sharegpt", format);
    int64_t refused = 0;
    for (uint64_t i = 0; i < 3000; ++i) {
      std::string damaged = line;
      for (uint64_t k = 0; k <= i % 3; ++k) {
        const auto at = static_cast<size_t>(random.uniform(8 * i + 2 * k) * static_cast<double>(damaged.size()));
        damaged[at] = bytes[static_cast<size_t>(random.uniform(8 * i + 2 * k + 1) * static_cast<double>(bytes.size()))];
      }
      refused += !refusal(*encoder, damaged).empty();
    }
    EXPECT_GT(refused, 500) << format;
    EXPECT_LT(refused, 3000) << format;
  }
}

TEST(PythonJson, NumbersAndSpaces) {
  const auto same = [](const std::string& text) { return python_json(*parse_json(text)); };
  EXPECT_EQ(same(R"({"b":[1,-2.5,1e3,1e16,0.00001,1e15,true,null],"a":{},"c":[]})"),
            R"({"b": [1, -2.5, 1000.0, 1e+16, 1e-05, 1000000000000000.0, true, null], "a": {}, "c": []})");
  EXPECT_EQ(same(R"("\u00e9\u001f\n\/\u007f")"), "\"\xC3\xA9\\u001f\\n/\x7f\"");
  EXPECT_EQ(python_json(*parse_json(R"({"a":[1,{"b":2}],"c":{}})"), 4),
            "{\n    \"a\": [\n        1,\n        {\n            \"b\": 2\n        }\n    ],\n    \"c\": {}\n}");
  EXPECT_FALSE(parse_json("{"));
  EXPECT_FALSE(parse_json("\"\\ud800\""));
}

}  // namespace
}  // namespace rk
