#include "data/chat/convert.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/error.h"
#include "base/rng.h"

namespace rk {
namespace {

namespace fs = std::filesystem;

class Convert : public testing::Test {
 protected:
  fs::path folder_ = fs::temp_directory_path() / cat("rookery-convert-", getpid());
  ConvertArgs args_;
  ConvertReport report_;

  Convert() { fs::create_directories(folder_); }
  ~Convert() override { fs::remove_all(folder_); }

  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  static std::string read(const std::string& file) {
    std::ostringstream text;
    text << std::ifstream(file, std::ios::binary).rdbuf();
    return text.str();
  }
  std::string convert(const std::string& text, const std::string& output = "out.jsonl", const std::string& input = "in.jsonl") {
    std::ofstream(path(input), std::ios::binary) << text;
    args_.input = path(input);
    args_.output = path(output);
    report_ = convert_conversations(args_);
    return read(args_.output);
  }
  // Where and why; nothing may be left behind.
  std::string refusal(const std::string& text, const std::string& output = "out.jsonl", const std::string& input = "in.jsonl") {
    try {
      return "accepted: " + convert(text, output, input);
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ExitCode::bad_input) << e.what();
      EXPECT_FALSE(fs::exists(path(output)));
      EXPECT_FALSE(fs::exists(path(output) + ".tmp"));
      const std::string what = e.what(), start = path(input) + ":";
      return what.starts_with(start) ? what.substr(start.size()) : what;
    }
  }
};

constexpr const char* dialog =
    R"({"conversations":[{"from":"system","value":"s"},{"from":"human","value":"q1"},{"from":"gpt","value":"a1"},{"from":"human","value":"q2"},{"from":"gpt","value":"a2"}]})";
constexpr const char* plain = R"({"conversations":[{"from":"human","value":"q"},{"from":"gpt","value":"a"}]})";

TEST_F(Convert, ThereAndBackThroughEveryForm) {
  const std::string both = cat(plain, "\n", plain, "\n");
  for (const ItemForm form : {ItemForm::alpaca, ItemForm::qa, ItemForm::rwkv, ItemForm::csv, ItemForm::sharegpt}) {
    for (const char* name : {"there.jsonl", "there.json"}) {
      args_.from.reset();
      args_.to = form;
      const std::string there = convert(both, name);
      args_.from = form;
      args_.to.reset();
      EXPECT_EQ(convert(there, "back.jsonl"), both) << name_of(form) << " " << there;
      args_.from.reset();
      EXPECT_EQ(convert(there, "back.jsonl"), both) << "guessed: " << name_of(form);
      EXPECT_EQ(report_.from, form);
      EXPECT_EQ(report_.from_array, std::string(name).ends_with(".json") && form != ItemForm::csv);
    }
  }
}

TEST_F(Convert, ConversationsToTextAndBack) {
  args_.to = ItemForm::rwkv;
  const std::string text = convert(dialog);
  EXPECT_EQ(nlohmann::json::parse(text).at("text"), "System: s\n\nUser: q1\n\nAssistant: a1\n\nUser: q2\n\nAssistant: a2");
  args_.to.reset();
  EXPECT_EQ(convert(text), cat(dialog, "\n"));
}

TEST_F(Convert, WhatAFormCannotSay) {
  args_.to = ItemForm::qa;
  EXPECT_NE(refusal(dialog).find("1:1: the conversation has a system prompt, which form qa cannot say; --drop_system"), std::string::npos);
  args_.drop_system = true;
  EXPECT_NE(refusal(dialog).find("1:1: the conversation has 2 questions, which form qa cannot say; --split_turns"), std::string::npos);
  args_.split_turns = true;
  EXPECT_EQ(convert(dialog), "{\"input\":\"q1\",\"output\":\"a1\"}\n{\"input\":\"q2\",\"output\":\"a2\"}\n");
  EXPECT_EQ(report_.written, 2);
  fs::remove(path("out.jsonl"));
  const auto messages = [](const std::string& list) { return cat(R"({"conversations": [)", list, "]}"); };
  const std::string question = R"({"from": "human", "value": "q"})", answer = R"({"from": "gpt", "value": "a"})";
  for (const ItemForm form : {ItemForm::alpaca, ItemForm::qa, ItemForm::rwkv, ItemForm::csv}) {
    args_.to = form;
    args_.from = ItemForm::sharegpt;
    EXPECT_NE(refusal(messages(question)).find("ends with a question"), std::string::npos);
    EXPECT_NE(refusal(messages(answer)).find("an answer without a question"), std::string::npos);
    EXPECT_NE(refusal(messages("")).find("has no question"), std::string::npos);
    EXPECT_NE(refusal(messages(question + R"(, {"from": "observation", "value": ""})")).find("a message from observation"),
              std::string::npos);
  }
  args_.to = ItemForm::rwkv;
  EXPECT_NE(refusal(messages(question + R"(, {"from": "gpt", "value": "a\n\nUser: b"})")).find("a line that begins with User:"),
            std::string::npos);
  args_.to = ItemForm::csv;
  EXPECT_NE(refusal(messages(question + R"(, {"from": "gpt", "value": "a\tb"})")).find("a tab or a line break"), std::string::npos);
}

TEST_F(Convert, ErrorsNameFileLineAndColumn) {
  EXPECT_TRUE(refusal(cat(plain, "\n\n", plain, "\r\n{\"conversations\": [{]}\n")).starts_with("4:21: a key in double quotes"));
  EXPECT_TRUE(refusal(cat("[", plain, ",\n {\"conversations\":\n  [5]}]")).starts_with("3:4: a JSON object is expected"));
  EXPECT_TRUE(refusal(cat("[", plain, ",]")).starts_with(cat("1:", std::string(plain).size() + 3, ": a value is expected")));
  EXPECT_TRUE(refusal(cat("[", plain, " ", plain, "]")).find("',' or ']' is expected") != std::string::npos);
  EXPECT_TRUE(refusal(cat("[", plain, "\n")).starts_with("2:1: the file ends inside its JSON array"));
  EXPECT_TRUE(refusal(cat("[", plain, "]\n x")).starts_with("2:2: something follows"));
  EXPECT_TRUE(refusal("[{\"conversations\": \"").starts_with("1:2: the file ends inside the element"));
  EXPECT_NE(refusal("").find("there are no items"), std::string::npos);
  EXPECT_NE(refusal("\n  \n").find("there are no items"), std::string::npos);
  EXPECT_TRUE(refusal("{\"a\": 1}\n").starts_with("1:1: the form of the conversations cannot be told"));
  EXPECT_TRUE(refusal("a b\n", "out.jsonl", "in.csv").starts_with("1:4: the row has no tab"));
  EXPECT_TRUE(refusal("a\tb\nc\td\te\n", "out.jsonl", "in.csv").starts_with("2:4: the row has a second tab"));
}

TEST_F(Convert, ItemsThatCannotBeConvertedAreLeftOut) {
  args_.skip_errors = true;
  EXPECT_EQ(convert(cat(plain, "\n{\"conversations\": 5}\n", plain, "\n{\n")), cat(plain, "\n", plain, "\n"));
  EXPECT_EQ(report_.items, 4);
  EXPECT_EQ(report_.skipped, 2);
  ASSERT_EQ(report_.warnings.size(), 1u);
  EXPECT_NE(report_.warnings[0].find(":2:19: "), std::string::npos) << report_.warnings[0];
}

TEST_F(Convert, ItemsAsTheyAre) {
  args_.to = ItemForm::items;
  EXPECT_EQ(convert("[ {\"a\" : \"x \\\" y\" ,\n\t\"b\": [1, {}]},\n{} ]"), "{\"a\":\"x \\\" y\",\"b\":[1,{}]}\n{}\n");
  EXPECT_EQ(convert("{\"a\": 1}\n\n{\"b\": 2}", "out.json"), "[\n{\"a\":1},\n{\"b\":2}\n]\n");
  fs::remove(path("out.jsonl"));
  EXPECT_TRUE(refusal("[5]").starts_with("1:2: the item is not a JSON object"));
}

TEST_F(Convert, RowsWithQuotesAndACarriageReturn) {
  EXPECT_EQ(convert("a\tb\r\n\"x \"\"y\"\"\"\t\"\"\n", "out.jsonl", "in.tsv"),
            "{\"conversations\":[{\"from\":\"human\",\"value\":\"a\"},{\"from\":\"gpt\",\"value\":\"b\"}]}\n"
            "{\"conversations\":[{\"from\":\"human\",\"value\":\"x \\\"y\\\"\"},{\"from\":\"gpt\",\"value\":\"\"}]}\n");
  EXPECT_EQ(convert("{\"input\": \"\\\"q\\\" \", \"output\": \"a \\\" b\"}", "out.tsv"), "\"\"\"q\"\" \"\ta \" b\n");
}

TEST_F(Convert, NamesOfQuestionAndAnswer) {
  args_.question = "prompt", args_.answer = "response";
  EXPECT_EQ(convert(R"({"prompt": "q", "response": "a"})"), cat(plain, "\n"));
  EXPECT_EQ(report_.from, ItemForm::qa);
}

// Items of all sizes across the blocks in which a file is read.
TEST_F(Convert, FilesOfManyBlocks) {
  std::string lines, array = "[";
  for (int i = 0; i < 3000; ++i) {
    const std::string item = nlohmann::ordered_json{{"conversations",
                                                     {{{"from", "human"}, {"value", std::string(static_cast<size_t>(i * 7 % 3001), 'q')}},
                                                      {{"from", "gpt"}, {"value", cat(i, "\\ \"]}[{\n")}}}}}
                                 .dump();
    lines += item + "\n";
    array += cat(i == 0 ? "" : ", ", item);
  }
  EXPECT_GT(lines.size(), size_t{3} << 20);
  EXPECT_EQ(convert(lines), lines);
  EXPECT_EQ(convert(array + "]"), lines);
  std::string returns = lines;
  for (size_t at = 0; (at = returns.find('\n', at)) != returns.npos; at += 2) returns.replace(at, 1, "\r\n");
  EXPECT_EQ(convert(returns), lines);
}

// Files with a few changed bytes are converted or refused, and of the others nothing is left behind.
TEST_F(Convert, DamagedFiles) {
  const std::string array = cat("[\n", plain, ",\n ", dialog, " ]\n"), bytes = "{}[],:\"\\ 0\n\r\t\x01\xC3";
  const Random random(13, 0);
  int64_t refused = 0;
  for (uint64_t i = 0; i < 600; ++i) {
    std::string damaged = array;
    for (uint64_t k = 0; k <= i % 3; ++k) {
      const auto at = static_cast<size_t>(random.uniform(8 * i + 2 * k) * static_cast<double>(damaged.size()));
      damaged[at] = bytes[static_cast<size_t>(random.uniform(8 * i + 2 * k + 1) * static_cast<double>(bytes.size()))];
    }
    args_.skip_errors = i % 2 == 0;
    args_.to = i % 5 == 0 ? ItemForm::items : i % 5 == 1 ? ItemForm::rwkv : ItemForm::sharegpt;
    fs::remove(path("out.jsonl"));
    refused += !refusal(damaged).starts_with("accepted");
  }
  EXPECT_GT(refused, 200);
  EXPECT_LT(refused, 600);
}

}  // namespace
}  // namespace rk
