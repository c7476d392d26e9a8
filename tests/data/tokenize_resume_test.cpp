// tokenize() after it was killed, and where inputs cannot be used.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/error.h"
#include "data/binidx.h"
#include "data/binidx_writer.h"
#include "data/tokenize.h"
#include "data/tokenize_journal.h"
#include "support/read_file.h"
#include "support/temporary_folder.h"

namespace rk {
namespace {

namespace fs = std::filesystem;
using testing_support::read_file;
using testing_support::TemporaryFolder;

class TokenizeResumeTest : public testing::Test {
 protected:
  std::string write(const std::string& name, const std::string& text) {
    fs::create_directories(fs::path(folder_.path(name)).parent_path());
    std::ofstream(folder_.path(name), std::ios::binary) << text;
    return folder_.path(name);
  }

  TokenizeArgs args(const std::vector<std::string>& inputs) {
    TokenizeArgs a;
    a.inputs = inputs;
    a.prefix = folder_.path("out");
    a.tokenizer = make_bytes_tokenizer();
    a.block_bytes = 1000;
    a.journal_s = 0;
    a.say = [this](const std::string& line) { said_.push_back(line); };
    return a;
  }

  // Of three files, the second with lines that cannot be used.
  std::vector<std::string> inputs() {
    std::string lines;
    for (int i = 0; i < 300; ++i) lines += i % 50 == 7 ? "{\"text\": \n" : cat("{\"text\": \"line ", i, "\"}\n");
    return {write("a.txt", std::string(7000, 'a')), write("b.jsonl", lines), write("c.txt", std::string(5000, 'c'))};
  }

  // The same in a process that ends in the middle of block number `blocks`.
  void killed_after(TokenizeArgs a, int blocks) {
    const pid_t child = fork();
    if (child == 0) {
      a.progress = [&](int64_t, int64_t) {
        if (blocks-- == 0) raise(SIGKILL);
      };
      try {
        tokenize(a);
      } catch (const Error&) {
      }
      _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
  }

  std::string files(const std::string& prefix) { return read_file(prefix + ".bin") + read_file(prefix + ".idx"); }
  bool nothing_else_is_left() {
    for (const auto& entry : fs::directory_iterator(folder_.root())) {
      const std::string name = entry.path().filename();
      if (name.ends_with(".tmp") || name.ends_with(".journal") || name.find(".once") != name.npos) return false;
    }
    return true;
  }

  std::vector<std::string> said_;
  TemporaryFolder folder_;
};

TEST_F(TokenizeResumeTest, AKilledRunGoesOn) {
  for (int64_t n_epoch : {1, 2}) {
    TokenizeArgs a = args(inputs());
    a.skip_errors = true;
    a.n_epoch = n_epoch;
    a.prefix = folder_.path("whole");
    const TokenizeReport whole = tokenize(a);
    EXPECT_EQ(whole.left_out, 6);
    ASSERT_EQ(whole.left_out_named.size(), 5u);
    EXPECT_EQ(whole.left_out_named[0], folder_.path("b.jsonl") + ":8:9: the line ends early: a value is expected");
    a.prefix = folder_.path("out");
    for (int blocks : {0, 1, 6, 9, 13, 18}) {
      said_.clear();
      killed_after(a, blocks);
      const bool went_on = fs::exists(a.prefix + ".journal") || fs::exists(a.prefix + ".once.journal");
      const TokenizeReport report = tokenize(a);
      ASSERT_EQ(files(a.prefix), files(folder_.path("whole"))) << "killed after " << blocks;
      EXPECT_EQ(said_.size(), went_on && blocks > 0 ? 1u : 0u) << blocks;
      EXPECT_EQ(report.documents, whole.documents);
      EXPECT_EQ(report.tokens, whole.tokens);
      EXPECT_EQ(report.input_bytes, whole.input_bytes);
      EXPECT_EQ(report.left_out, whole.left_out);
      EXPECT_EQ(report.left_out_named, whole.left_out_named);
      EXPECT_TRUE(nothing_else_is_left());
      fs::remove(a.prefix + ".bin");
      fs::remove(a.prefix + ".idx");
    }
  }
}

TEST_F(TokenizeResumeTest, ManyKillsInARow) {
  TokenizeArgs a = args(inputs());
  a.skip_errors = true;
  for (int i = 0; i < 6; ++i) killed_after(a, 2);
  tokenize(a);
  ASSERT_EQ(said_.size(), 1u);
  EXPECT_NE(said_[0].find("goes on behind"), std::string::npos);
  const std::string result = files(a.prefix);
  a.prefix = folder_.path("whole");
  tokenize(a);
  EXPECT_EQ(result, files(a.prefix));
}

TEST_F(TokenizeResumeTest, AnotherRequestStartsAnew) {
  TokenizeArgs a = args(inputs());
  a.skip_errors = true;
  killed_after(a, 5);
  a.request = "something else";
  tokenize(a);
  ASSERT_EQ(said_.size(), 1u);
  EXPECT_NE(said_[0].find("other options or inputs; it starts anew"), std::string::npos);

  said_.clear();
  killed_after(a, 5);
  write("a.txt", std::string(7000, 'z'));
  tokenize(a);
  ASSERT_EQ(said_.size(), 1u);
  EXPECT_NE(said_[0].find("a.txt has changed"), std::string::npos) << said_[0];
  const std::string result = files(a.prefix);
  a.prefix = folder_.path("whole");
  tokenize(a);
  EXPECT_EQ(result, files(a.prefix));
  EXPECT_TRUE(nothing_else_is_left());
}

// Between the moment when everything is on the disk and the last change of a name.
TEST_F(TokenizeResumeTest, KilledWhileFilesGetTheirNames) {
  TokenizeArgs a = args(inputs());
  a.skip_errors = true;
  const TokenizeReport report = tokenize(a);
  const std::string result = files(a.prefix);
  for (const std::vector<std::string>& waiting : {std::vector<std::string>{".bin", ".idx"}, {".idx"}, {}}) {
    JournalEntry entry;
    entry.complete = true;
    entry.written.n_documents = report.documents;
    entry.written.n_tokens = report.tokens;
    entry.report = report;
    Journal(a, a.prefix, text_files_of(a.inputs)).save(entry);
    for (const std::string& ending : waiting) fs::rename(a.prefix + ending, a.prefix + ending + ".tmp");
    TokenizeArgs again = a;
    again.progress = [](int64_t, int64_t) { FAIL() << "nothing is read again"; };
    const TokenizeReport said = tokenize(again);
    EXPECT_EQ(said.documents, report.documents);
    EXPECT_EQ(said.tokens, report.tokens);
    EXPECT_EQ(said.left_out, report.left_out);
    EXPECT_EQ(files(a.prefix), result);
    EXPECT_TRUE(nothing_else_is_left());
  }
}

TEST_F(TokenizeResumeTest, FilesThatAnotherProcessWritesAreLeftAlone) {
  TokenizeArgs a = args(inputs());
  BinidxWriter other({.prefix = a.prefix});
  write("out.journal", "of the other");
  EXPECT_THROW(tokenize(a), Error);
  EXPECT_EQ(read_file(a.prefix + ".journal"), "of the other");
}

TEST_F(TokenizeResumeTest, FoldersStandForTheirFiles) {
  write("in/b.txt", "b");
  write("in/a/z.jsonl", "{\"text\": \"z\"}\n");
  write("in/a.txt", "a");
  write("in/readme.md", "no");
  TokenizeArgs a = args({folder_.path("in")});
  EXPECT_EQ(tokenize(a).documents, 3);
  const Binidx data(a.prefix);
  std::vector<int32_t> ids(6);
  data.read_flat(0, ids, 0);
  EXPECT_EQ(ids, (std::vector<int32_t>{'a', 256, 'z', 256, 'b', 256})) << "sorted by path";
}

TEST_F(TokenizeResumeTest, DocumentsThatCannotBeEncodedAreLeftOut) {
  TokenizeArgs a = args({write("a.txt", "fine"), write("bad.txt", std::string(2500, 'b') + "\xFF" + std::string(2500, 'b') + "\xFF"),
                         write("c.jsonl", "{\"text\": \"fine\"}\n{\"no\": 1}\n")});
  a.tokenizer = make_char_tokenizer(std::vector<char32_t>{'b', 'e', 'f', 'i', 'n'}, "v.json");
  a.skip_errors = true;
  const TokenizeReport report = tokenize(a);
  EXPECT_EQ(report.documents, 2);
  EXPECT_EQ(report.tokens, 10);
  EXPECT_EQ(report.left_out, 2);
  ASSERT_EQ(report.left_out_named.size(), 2u);
  EXPECT_EQ(report.left_out_named[0], folder_.path("bad.txt") + ": byte 2500: invalid UTF-8");
  EXPECT_EQ(report.left_out_named[1], folder_.path("c.jsonl") + ":2:1: the object has no key \"text\"");
  a.inputs = {folder_.path("bad.txt")};
  EXPECT_THROW(tokenize(a), Error) << "nothing is left";
}

TEST_F(TokenizeResumeTest, EmptyTexts) {
  TokenizeArgs a =
      args({write("a.jsonl", "{\"text\": \"\"}\n{\"text\": \"a\"}\n\"bare\"\n{\"text\": [\"one\", \"two\"]}\n{\"text\": []}\n")});
  a.paragraphs = true;
  TokenizeReport report = tokenize(a);
  EXPECT_EQ(report.documents, 5);
  EXPECT_EQ(report.empty, 2);
  a.drop_empty = true;
  a.end_documents = false;
  report = tokenize(a);
  EXPECT_EQ(report.documents, 3);
  EXPECT_EQ(report.tokens, 1 + 4 + 8);
  a.paragraphs = false;
  EXPECT_THROW(tokenize(a), Error);
}

}  // namespace
}  // namespace rk
