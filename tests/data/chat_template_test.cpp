#include "data/chat/template.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/error.h"
#include "data/chat/stop_text.h"
#include "data/chat/tools.h"

namespace rk {
namespace {

std::string joined(const std::vector<std::string>& texts) {
  std::string all;
  for (const std::string& text : texts) all += cat("[", text, "]");
  return all;
}

TEST(ChatTemplate, EveryNameOfTheTableIsFound) {
  const std::vector<std::string> names = template_names();
  EXPECT_EQ(names.size(), 36u);
  for (const std::string& name : names) {
    const Template form = find_template(name);
    EXPECT_EQ(form.name, name);
    EXPECT_FALSE(form.stop.empty()) << name;
    EXPECT_EQ(form.prompt.find("{query}") == std::string::npos, name == "deepseekcoder") << name;
  }
}

TEST(ChatTemplate, UnknownNamesAreRefusedWithTheKnownOnes) {
  try {
    find_template("chatlm");
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ExitCode::bad_input);
    EXPECT_NE(std::string(e.what()).find("chatml"), std::string::npos) << e.what();
  }
}

TEST(ChatTemplate, RwkvText) {
  const Template form = find_template("rwkv");
  EXPECT_EQ(joined(dialog_texts(form, {"Be\r\n\r\n brief. ", {{" a\n\n\nb\n", "x\n\ny"}, {"c", "z"}}})),
            "[System: Be\n brief.\n\nUser: a\nb\n\nAssistant:][ x\n\ny][\n\nUser: c\n\nAssistant:][ z]");
  EXPECT_EQ(open_prompt(form, {"", {{"q", ""}}}), "User: q\n\nAssistant:");
  EXPECT_EQ(open_prompt(form, {"", {{"q", "<think"}}}), "User: q\n\nAssistant: <think");
  EXPECT_TRUE(dialog_texts(form, {"alone", {}}).empty());
}

TEST(ChatTemplate, BracesOfTheUserStay) {
  const Template form = find_template("chatml");
  EXPECT_EQ(dialog_texts(form, {"{system}", {{"{query} {{x}}", "{y}"}}}).at(0),
            "{system}<|im_end|>\n<|im_start|>user\n{query} {{x}}<|im_end|>\n<|im_start|>assistant\n");
}

TEST(ChatTemplate, DeepseekcoderLosesItsQuestionsAndItsFixedFormDoesNot) {
  EXPECT_NE(dialog_texts(find_template("deepseekcoder"), {"s", {{"q1", "a"}}}).at(0).find("{content}"), std::string::npos);
  EXPECT_EQ(dialog_texts(find_template("deepseekcoder_fixed"), {"s", {{"q1", "a"}}}).at(0), "s\n### Instruction:\nq1\n### Response:\n");
}

class TemplateFile : public testing::Test {
 protected:
  std::string path_ = (std::filesystem::temp_directory_path() / cat("rookery-template-", getpid(), ".json")).string();
  void write(const std::string& text) const { std::ofstream(path_) << text; }
  ~TemplateFile() override { std::filesystem::remove(path_); }
};

TEST_F(TemplateFile, OwnTemplates) {
  write(R"({"name": "own", "prompt": "Q: {query}\nA:", "sep": "\n", "lead": " ", "stop": "\nQ:", "end": "stop_text"})");
  EXPECT_EQ(joined(dialog_texts(find_template(path_), {"", {{"1", "2"}, {"3", "4"}}})), "[Q: 1\nA:][ 2][\nQ: 3\nA:][ 4]");
}

TEST_F(TemplateFile, RefusalsNameTheFile) {
  for (const char* bad : {"", "[]", "{", R"({"name": "x"})", R"({"prompt": 5})", R"({"prompt": "{query}", "promt": ""})",
                          R"({"prompt": "{query}", "end": "never"})", R"({"prompt": "{query}", "end": "text"})"}) {
    write(bad);
    try {
      find_template(path_);
      ADD_FAILURE() << bad;
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ExitCode::bad_input);
      EXPECT_TRUE(std::string(e.what()).starts_with(path_)) << e.what();
    }
  }
}

// Whatever the pieces in which a text arrives.
TEST(StopText, EndsBeforeTheStopText) {
  const std::string text = "one\n\nUse\n\nUser: two";
  for (size_t piece = 1; piece <= text.size(); ++piece) {
    StopText stop({"\n\nUser:", "never"});
    std::string out;
    for (size_t at = 0; at < text.size(); at += piece) out += stop.feed(std::string_view(text).substr(at, piece));
    EXPECT_EQ(out + stop.rest(), "one\n\nUse") << piece;
    EXPECT_TRUE(stop.ended());
  }
}

TEST(StopText, WhatOnlyBeginsAStopTextComesOutAtTheEnd) {
  StopText stop({"aab"});
  EXPECT_EQ(stop.feed("xaa"), "x");
  EXPECT_EQ(stop.feed("a"), "a");
  EXPECT_FALSE(stop.ended());
  EXPECT_EQ(stop.rest(), "aa");
  StopText first({"later", "l"});
  EXPECT_EQ(first.feed("all later"), "a");
  EXPECT_TRUE(first.ended());
}

}  // namespace
}  // namespace rk
