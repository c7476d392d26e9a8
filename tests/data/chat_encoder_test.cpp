#include <gtest/gtest.h>

#include <algorithm>

#include "base/error.h"
#include "data/char_vocab.h"
#include "data/chat/labels.h"
#include "data/sample_encoder.h"
#include "data/text_error.h"

namespace rk {
namespace {

DataOptions options_of(const std::string& type, const std::string& mask) {
  DataOptions options;
  options.data_type = type;
  options.loss_mask = mask;
  return options;
}

// The text of a sample with what counts in brackets; # is the end of a document, | stands between counted tokens of one run.
std::string marked(const EncodedSample& sample, const Tokenizer& tokenizer, const std::string& between = "") {
  std::string text;
  bool open = false;
  for (size_t i = 0; i < sample.tokens.size(); ++i) {
    const bool counts = sample.counted[i] != 0;
    if (counts != open) text += counts ? "[" : "]";
    if (counts && open) text += between;
    open = counts;
    text += sample.tokens[i] == tokenizer.end_of_document() ? "#" : std::string(tokenizer.bytes_of(sample.tokens[i]));
  }
  return open ? text + "]" : text;
}

std::string encoded(const DataOptions& options, const std::string& line,
                    std::shared_ptr<const Tokenizer> tokenizer = make_bytes_tokenizer()) {
  EncodedSample sample;
  if (!make_sample_encoder(options, tokenizer)->encode(line, sample)) return "nothing";
  EXPECT_EQ(sample.tokens.size(), sample.counted.size());
  return marked(sample, *tokenizer);
}

constexpr const char* two_turns =
    R"({"conversations": [{"from": "human", "value": "q1"}, {"from": "gpt", "value": "a1"}, {"from": "human", "value": "q2"}, {"from": "gpt", "value": "a2"}]})";

TEST(SampleEncoder, TextCountsAndItsEndIsAppendedWhereAskedFor) {
  DataOptions options = options_of("jsonl", "none");
  EXPECT_EQ(encoded(options, R"({"text": "abc"})"), "[abc#]");
  EXPECT_EQ(encoded(options, R"({"text": ""})"), "[#]");
  options.append_eod = false;
  EXPECT_EQ(encoded(options, R"({"text": "abc"})"), "[abc]");
  EXPECT_EQ(encoded(options, R"({"text": ""})"), "nothing");
}

TEST(SampleEncoder, RolesOfText) {
  const DataOptions options = options_of("jsonl", "roles");
  EXPECT_EQ(encoded(options, R"({"text": "User: q1\n\nAssistant: a1\n\nmore\n\nUser: q2\n\nAssistant: a2"})"),
            "User: q1\n\nAssistant:[ a1\n\nmore\n\nUser:] q2\n\nAssistant:[ a2#]");
  EXPECT_EQ(encoded(options, R"({"text": "System: s\n\nUser: q"})"), "nothing") << "nobody answers";
  EXPECT_EQ(encoded(options, R"({"text": "plain"})"), "nothing");
  EXPECT_EQ(encoded(options, R"({"text": ""})"), "nothing");
  EXPECT_EQ(encoded(options, R"({"text": "User: q\n\nAssistant:"})"), "nothing") << "an answer that is still open";
  EXPECT_EQ(encoded(options, R"({"text": "x Assistant: y\nAssistant: z"})"), "nothing") << "labels stand behind empty lines";
  EXPECT_EQ(encoded(options, R"({"text": "Assistant: a\n\nUser: q"})"), "Assistant:[ a\n\nUser:] q#");
}

// A token counts if it begins inside the answer. In the world vocabulary ":)" and "\n\n" are tokens.
TEST(SampleEncoder, MergedTokensCountWhereTheyBegin) {
  std::shared_ptr<const Tokenizer> world = make_world_tokenizer();
  EncodedSample sample;
  const auto encoder = make_sample_encoder(options_of("jsonl", "roles"), world);
  ASSERT_TRUE(encoder->encode(R"({"text": "User: hi\n\nAssistant:) yes\n\nUser: bye\n\nAssistant: good bye"})", sample));
  EXPECT_EQ(marked(sample, *world, "|"), "User: hi\n\nAssistant:)[ yes|\n\n|User|:] bye\n\nAssistant:[ good| bye|#]");
}

TEST(SampleEncoder, SpeakersOfAScript) {
  DataOptions options = options_of("jsonl", "none");
  options.select_name = "Bob";
  EXPECT_EQ(encoded(options, R"({"text": "Ann: x\n\nBob: y\n\nAnn: z"})"), "Ann: x\n\nBob:[ y\n\n]Ann: z#");
  EXPECT_EQ(encoded(options, R"({"text": "Ann: x\n\nBob: y"})"), "Ann: x\n\nBob:[ y#]") << "the end of the text ends what he says";
  EXPECT_EQ(encoded(options, R"({"text": "Ann: x"})"), "nothing");
}

TEST(SampleEncoder, AnswersAndTheirEndsCount) {
  DataOptions options = options_of("sharegpt", "roles");
  EXPECT_EQ(encoded(options, two_turns), "User: q1\n\nAssistant:[ a1\n\nUser:] q2\n\nAssistant:[ a2#]");
  options.template_name = "chatml";
  EXPECT_EQ(encoded(options, two_turns),
            "You are a helpful assistant.<|im_end|>\n<|im_start|>user\nq1<|im_end|>\n<|im_start|>assistant\n[a1#]"
            "<|im_end|>\n<|im_start|>user\nq2<|im_end|>\n<|im_start|>assistant\n[a2#]");
  options.system_prompt = "Short.";
  options.template_name = "sft";
  EXPECT_EQ(encoded(options, two_turns),
            "Short.\n\n### Instruction:\nq1\n\n### Response:[a1\n\x17]\n\n### Instruction:\nq2\n\n### Response:[a2\n\x17]");
  options.template_name = "rwkv";
  options.loss_mask = "none";
  EXPECT_EQ(encoded(options, two_turns), "[System: Short.\n\nUser: q1\n\nAssistant: a1\n\nUser: q2\n\nAssistant: a2#]");
}

// What a model is asked with is what it was trained on, token for token.
TEST(SampleEncoder, PromptsAreTheBeginningsOfSamples) {
  std::shared_ptr<const Tokenizer> world = make_world_tokenizer();
  for (const std::string& name : template_names()) {
    DataOptions options = options_of("sharegpt", "roles");
    options.template_name = name;
    EncodedSample sample;
    ASSERT_TRUE(make_sample_encoder(options, world)
                    ->encode(R"({"conversations": [{"from": "human", "value": "Why?"}, {"from": "gpt", "value": "\nBecause."}]})", sample));
    std::vector<int32_t> prompt;
    world->encode(open_prompt(find_template(name), {"", {{"Why?", ""}}}), prompt);
    const auto n_prompt = static_cast<size_t>(std::count(sample.counted.begin(), sample.counted.end(), 0));
    ASSERT_LT(n_prompt, sample.tokens.size()) << name;
    EXPECT_EQ(prompt, std::vector<int32_t>(sample.tokens.begin(), sample.tokens.begin() + static_cast<std::ptrdiff_t>(n_prompt))) << name;
  }
}

TEST(SampleEncoder, FormsOfConversations) {
  const DataOptions options = options_of("sharegpt", "roles");
  EXPECT_EQ(
      encoded(
          options,
          R"({"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]})"),
      "System: s\n\nUser: q\n\nAssistant:[ a#]");
  EXPECT_EQ(
      encoded(
          options,
          R"({"system_prompt": "s", "conversations": [{"value": "q", "from": "human"}, {"from": "gpt", "value": "a", "weight": [1]}]})"),
      "System: s\n\nUser: q\n\nAssistant:[ a#]");
  EXPECT_EQ(
      encoded(options,
              R"({"conversations": 5, "conversations": [{"from": "gpt", "from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]})"),
      "User: q\n\nAssistant:[ a#]")
      << "of equal keys the last counts";
  EXPECT_EQ(encoded(options, R"({"conversations": []})"), "nothing");
  EXPECT_EQ(encoded(options, R"({"conversations": [{"from": "human", "value": "q"}]})"), "nothing");
  const DataOptions alpaca = options_of("alpaca", "roles");
  EXPECT_EQ(encoded(alpaca, R"({"instruction": "Add", "input": "1 2", "output": "3"})"), "User: Add\n1 2\n\nAssistant:[ 3#]");
  EXPECT_EQ(encoded(alpaca, R"({"instruction": "Hi", "input": null, "output": "Ho", "system": "s"})"),
            "System: s\n\nUser: Hi\n\nAssistant:[ Ho#]");
}

TEST(SampleEncoder, Tools) {
  DataOptions options = options_of("sharegpt", "roles");
  const char* line =
      R"({"conversations": [{"from": "human", "value": "t?"}, {"from": "function_call", "value": "{\"name\": \"f\", \"arguments\": {\"x\": 1.0}}"},)"
      R"( {"from": "observation", "value": "20"}, {"from": "gpt", "value": "20!"}], "tools": "[{\"name\": \"f\"}]"})";
  EXPECT_EQ(encoded(options, line),
            "User: t?\n\nAssistant:[ Action: f\nAction Input: {\"x\": 1.0}\n\nUser:] Observation: 20\n\nAssistant:[ 20!#]");
  options.tool_format = "mistral";
  EXPECT_EQ(
      encoded(options, line),
      "System: [AVAILABLE_TOOLS] [{\"type\": \"function\", \"function\": {\"name\": \"f\"}}][/AVAILABLE_TOOLS]\n\nUser: t?\n\nAssistant:["
      " [{\"name\": \"f\", \"arguments\": {\"x\": 1.0}}]\n\nUser:] [TOOL_RESULTS] {\"content\": 20}[/TOOL_RESULTS]\n\nAssistant:[ 20!#]");
}

TEST(SampleEncoder, Questions) {
  DataOptions options = options_of("sft", "none");
  options.sft_field = "query response";
  EXPECT_TRUE(encoded(options, R"({"query": "q", "response": "a", "x": [[]]})").ends_with("### Instruction:\nq\n\n### Response:[a\n\x17]"));
  options.template_name = "rwkv";
  EXPECT_EQ(encoded(options, R"({"query": "q", "response": "a"})"), "User: q\n\nAssistant:[ a#]");
  options.loss_mask = "pad";
  EXPECT_EQ(encoded(options, R"({"query": "q", "response": "a"})"), "[User: q\n\nAssistant: a#]");
}

TEST(SampleEncoder, WhatDoesNotGoTogetherIsRefused) {
  std::shared_ptr<const Tokenizer> bytes = make_bytes_tokenizer();
  std::vector<DataOptions> all(8);
  all[0].data_type = "binidx";
  all[1] = options_of("sft", "none");
  all[2] = options_of("sft", "none"), all[2].sft_field = "one";
  all[3] = options_of("sft", "none"), all[3].sft_field = "one two three";
  all[4] = options_of("jsonl", "none"), all[4].template_name = "rwkv";
  all[5] = options_of("sharegpt", "none"), all[5].select_name = "Bob";
  all[6] = options_of("jsonl", "roles"), all[6].select_name = "Bob";
  all[7] = options_of("sharegpt", "none"), all[7].template_name = "no such";
  for (const DataOptions& options : all) {
    try {
      make_sample_encoder(options, bytes);
      ADD_FAILURE() << options.data_type;
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ExitCode::bad_input);
      EXPECT_NE(std::string(e.what()).find("--"), std::string::npos) << e.what();
    }
  }
}

TEST(SampleEncoder, TextsThatCannotBeEncodedAreRefused) {
  std::shared_ptr<const Tokenizer> characters = make_char_tokenizer({U'a', U'b'}, "a and b");
  for (const auto& [type, line] :
       {std::pair{"jsonl", R"({"text": "abc"})"}, std::pair{"alpaca", R"({"instruction": "", "output": "a"})"}}) {
    EncodedSample sample;
    try {
      make_sample_encoder(options_of(type, "none"), characters)->encode(line, sample);
      ADD_FAILURE() << type;
    } catch (const TextError& e) {
      EXPECT_EQ(e.offset(), 0u);
      EXPECT_NE(std::string(e.what()).find("of the text)"), std::string::npos) << e.what();
    }
  }
}

TEST(SampleEncoder, LongTurnsAreShortened) {
  const auto tokenizer = make_bytes_tokenizer();
  const Template form = find_template("base");
  EncodedSample sample;
  const std::vector<std::string> texts{"qqqqqqqqqq", "aaaaaaaaaa", "next", "turn"};
  EXPECT_TRUE(encode_dialog(form, texts, {.tokenizer = *tokenizer, .max_tokens = 10}, sample));
  EXPECT_EQ(marked(sample, *tokenizer), "qqqqq[aaaa#]");
  EXPECT_TRUE(encode_dialog(form, texts, {.tokenizer = *tokenizer, .max_tokens = 100}, sample));
  EXPECT_EQ(marked(sample, *tokenizer), "qqqqqqqqqq[aaaaaaaaaa#]next[turn#]");
  const std::vector<std::string> nothing{"", ""};
  EXPECT_THROW(encode_dialog(form, nothing, {.tokenizer = *tokenizer, .max_tokens = 10}, sample), TextError);
}

// Samples of dataload pad and only have ctx_len + 1 tokens at most; what fits stays whole.
TEST(SampleEncoder, ConversationsFitTheirSample) {
  DataOptions options = options_of("sharegpt", "roles");
  options.template_name = "base";
  options.ctx_len = 9;
  const char* line = R"({"conversations": [{"from": "human", "value": "qqqqqqqq"}, {"from": "gpt", "value": "a"}]})";
  EXPECT_EQ(encoded(options, line), "qqqqqqqq[a#]");
  options.ctx_len = 4;
  EXPECT_EQ(encoded(options, line), "qqqq[#]");
  options.dataload = "pack";
  EXPECT_EQ(encoded(options, line), "qqqqqqqq[a#]");
}

TEST(SampleEncoder, IdentitiesDifferWhereSamplesMay) {
  const DataOptions plain = options_of("sharegpt", "roles");
  std::vector<DataOptions> others(7, plain);
  others[0].loss_mask = "none", others[1].template_name = "chatml", others[2].system_prompt = "s", others[3].tool_format = "qwen";
  others[4].ctx_len = 5, others[5].dataload = "pack", others[6].data_type = "alpaca";
  for (const DataOptions& other : others) EXPECT_NE(sample_identity(plain), sample_identity(other));
  DataOptions same = plain;
  same.order = "shuffle", same.val_split = 0.5;
  EXPECT_EQ(sample_identity(plain), sample_identity(same));
}

}  // namespace
}  // namespace rk
