#include "data/tokenize.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/error.h"
#include "base/rng.h"
#include "data/binidx.h"
#include "support/read_file.h"
#include "support/temporary_folder.h"

namespace rk {
namespace {

namespace fs = std::filesystem;
using testing_support::read_file;
using testing_support::TemporaryFolder;

class TokenizeTest : public testing::Test {
 protected:
  std::string write(const std::string& name, const std::string& text) {
    std::ofstream(folder_.path(name), std::ios::binary) << text;
    return folder_.path(name);
  }

  TokenizeArgs args(const std::vector<std::string>& inputs, const std::string& tokenizer = "world") {
    TokenizeArgs a;
    a.inputs = inputs;
    a.prefix = folder_.path("out");
    a.tokenizer = make_tokenizer(tokenizer);
    return a;
  }

  // The documents as text, end-of-document ids checked.
  std::vector<std::string> documents(const TokenizeArgs& a) {
    const Binidx data(a.prefix);
    std::vector<std::string> texts;
    for (int64_t d = 0; d < data.n_documents(); ++d) {
      std::vector<int32_t> document;
      for (int64_t s = data.document_begin(d); s < data.document_begin(d + 1); ++s) {
        std::vector<int32_t> ids(static_cast<size_t>(data.size_of_sequence(s)));
        data.read(s, 0, ids, a.tokenizer->vocab_size());
        document.insert(document.end(), ids.begin(), ids.end());
      }
      EXPECT_EQ(document.back(), a.tokenizer->end_of_document());
      document.pop_back();
      texts.push_back(a.tokenizer->decode(document));
    }
    return texts;
  }

  std::string refusal(const TokenizeArgs& a) {
    try {
      tokenize(a);
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ExitCode::bad_input) << e.what();
      EXPECT_FALSE(fs::exists(a.prefix + ".bin") || fs::exists(a.prefix + ".idx") || fs::exists(a.prefix + ".bin.tmp") ||
                   fs::exists(a.prefix + ".idx.tmp"));
      return e.what();
    }
    return "accepted";
  }

  TemporaryFolder folder_;
};

TEST_F(TokenizeTest, LinesAreDocuments) {
  const std::string in = write(
      "in.jsonl",
      "{\"text\": \"one\"}\r\n\n  \t\n\xE3\x80\x80{\"text\": \"t\\u00e9\", \"x\": 1}\xC2\xA0\r\r{\"text\": \"\"}\n{\"text\": \"last\"}");
  TokenizeArgs a = args({in});
  const TokenizeReport report = tokenize(a);
  EXPECT_EQ(documents(a), (std::vector<std::string>{"one", "t\xC3\xA9", "", "last"}));
  EXPECT_EQ(report.documents, 4);
  EXPECT_EQ(report.tokens, Binidx(a.prefix).n_tokens());
  EXPECT_EQ(report.input_bytes, static_cast<int64_t>(fs::file_size(in)));
  EXPECT_TRUE(report.warnings.empty());
}

TEST_F(TokenizeTest, ATextFileIsOneDocumentByteForByte) {
  const std::string text("\xEF\xBB\xBF line\r\nline\r\xFF\0x\n", 20);
  for (const char* tokenizer : {"world", "bytes"}) {
    TokenizeArgs a = args({write("a.txt", text), write("b.txt", "b"), write("c.jsonl", "{\"text\": \"c\"}")}, tokenizer);
    tokenize(a);
    EXPECT_EQ(documents(a), (std::vector<std::string>{text, "b", "c"}));
  }
}

TEST_F(TokenizeTest, EmptyTextFilesAreLeftOutWithAWarning) {
  TokenizeArgs a = args({write("empty.txt", ""), write("b.txt", "b")});
  const TokenizeReport report = tokenize(a);
  EXPECT_EQ(documents(a), std::vector<std::string>{"b"});
  ASSERT_EQ(report.warnings.size(), 1u);
  EXPECT_NE(report.warnings[0].find("empty.txt"), std::string::npos);
}

TEST_F(TokenizeTest, StandardInputIsOneDocument) {
  const std::string text(300000, 'y');
  const int saved = dup(STDIN_FILENO), file = open(write("stdin", text).c_str(), O_RDONLY);
  dup2(file, STDIN_FILENO);
  TokenizeArgs a = args({"-"});
  a.block_bytes = 1000;
  tokenize(a);
  dup2(saved, STDIN_FILENO);
  close(saved);
  close(file);
  EXPECT_EQ(documents(a), std::vector<std::string>{text});
}

// Prose, runs and random bytes, with line breaks of all kinds.
std::string mixed_text(uint64_t seed, size_t n_bytes) {
  const Random random(seed, 0);
  std::string text;
  for (uint64_t i = 0; text.size() < n_bytes; ++i) {
    const double kind = random.uniform(3 * i);
    const size_t length = 1 + static_cast<size_t>(random.uniform(3 * i + 1) * 60);
    if (kind < 0.7) {
      text += "And the Spirit of God moved upon the face of the waters. ";
    } else if (kind < 0.8) {
      text += std::string(length, kind < 0.75 ? ' ' : '=');
    } else if (kind < 0.9) {
      text += "\xE7\xA9\xBA\xE8\x99\x9A\xE6\xB7\xB7\xE6\xB2\x8C\n";
    } else {
      for (size_t b = 0; b < length; ++b) text.push_back(static_cast<char>(random.uniform(3 * i + 2 + 1000003 * b) * 256));
    }
  }
  return text;
}

std::string lines_of(uint64_t seed, int n_lines) {
  const Random random(seed, 1);
  std::string text;
  for (int i = 0; i < n_lines; ++i) {
    const size_t words = static_cast<size_t>(random.uniform(static_cast<uint64_t>(i)) * 40);
    text += cat("{\"n\": ", i, ", \"text\": \"line ", i);
    for (size_t w = 0; w < words; ++w) text += " word\\n";
    text += i % 5 == 0 ? "\"}\r\n\r\n" : "\"}\n";
  }
  return text;
}

TEST_F(TokenizeTest, ThreadsAndBlocksDoNotChangeTheFiles) {
  const std::vector<std::string> inputs = {write("a.txt", mixed_text(1, 200000)), write("b.jsonl", lines_of(2, 500)),
                                           write("c.txt", mixed_text(3, 50000))};
  TokenizeArgs a = args(inputs);
  a.block_bytes = 1 << 24;
  tokenize(a);
  const std::string bin = read_file(a.prefix + ".bin"), idx = read_file(a.prefix + ".idx");
  for (int threads : {1, 2, 5}) {
    for (size_t block_bytes : {100u, 4096u, 100000u}) {
      a.threads = threads;
      a.block_bytes = block_bytes;
      tokenize(a);
      ASSERT_EQ(read_file(a.prefix + ".bin"), bin) << threads << " threads, blocks of " << block_bytes;
      ASSERT_EQ(read_file(a.prefix + ".idx"), idx) << threads << " threads, blocks of " << block_bytes;
    }
  }
}

TEST_F(TokenizeTest, PassesAreShuffledAsTheReferenceDoes) {
  TokenizeArgs a =
      args({write("in.jsonl",
                  "{\"text\": \"0\"}\n{\"text\": \"1\"}\n{\"text\": \"2\"}\n{\"text\": \"3\"}\n{\"text\": \"4\"}\n{\"text\": \"5\"}\n"
                  "{\"text\": \"6\"}\n{\"text\": \"7\"}\n{\"text\": \"8\"}\n{\"text\": \"9\"}\n")});
  a.n_epoch = 2;
  a.shuffle_seed = 42;
  const TokenizeReport report = tokenize(a);
  EXPECT_EQ(report.documents, 20);
  std::string order;
  for (const std::string& text : documents(a)) order += text;
  EXPECT_EQ(order,
            "7328569401"
            "8625304791");
  a.shuffle_seed.reset();
  tokenize(a);
  order.clear();
  for (const std::string& text : documents(a)) order += text;
  EXPECT_EQ(order, "01234567890123456789");
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_.root()), {}), 3) << "only the input and both files are left";
}

TEST_F(TokenizeTest, ErrorsNameFileLineAndColumn) {
  std::string many;
  for (int i = 0; i < 1000; ++i) many += i % 3 == 0 ? "{\"text\": \"fine\"}\r\n" : i % 3 == 1 ? "{\"text\": \"fine\"}\r" : " \n";
  const std::string in = write("in.jsonl", many + " {\"text\": \"a\", }\n{\"bad\": 1}\n");
  for (int threads : {1, 3}) {
    TokenizeArgs a = args({write("first.jsonl", "{\"text\": \"x\"}\n"), in});
    a.threads = threads;
    a.block_bytes = 200;
    EXPECT_EQ(refusal(a), in + ":1001:16: a key in double quotes is expected");
  }
}

TEST_F(TokenizeTest, InputsThatCannotBeUsed) {
  EXPECT_EQ(refusal(args({})), "no input files are given");
  EXPECT_NE(refusal(args({folder_.path("missing.txt")})).find("missing.txt: cannot open: No such file"), std::string::npos);
  EXPECT_NE(refusal(args({write("x.csv", "a")})).find("x.csv: the name must end in .txt"), std::string::npos);
  EXPECT_NE(refusal(args({write("blank.jsonl", "\n \r\n")})).find("blank.jsonl: no documents"), std::string::npos);
  fs::create_directory(folder_.path("folder.txt"));
  EXPECT_NE(refusal(args({folder_.path("folder.txt")})).find("folder.txt: the folder holds no .txt"), std::string::npos);
  TokenizeArgs a = args({write("a.txt", "a")});
  a.prefix = folder_.path("no/such/folder");
  EXPECT_NE(refusal(a).find("no/such/folder.bin.tmp: cannot create"), std::string::npos);
  a = args({folder_.path("a.txt")});
  a.n_epoch = 0;
  EXPECT_NE(refusal(a).find("n_epoch = 0"), std::string::npos);
}

TEST_F(TokenizeTest, AByteOrderMarkIsSkippedWithAWarning) {
  TokenizeArgs a = args({write("in.jsonl", "\xEF\xBB\xBF{\"text\": \"a\"}\n{\"text\": \"b\"}\n")});
  const TokenizeReport report = tokenize(a);
  EXPECT_EQ(documents(a), (std::vector<std::string>{"a", "b"}));
  ASSERT_EQ(report.warnings.size(), 1u);
  EXPECT_NE(report.warnings[0].find("in.jsonl:1: "), std::string::npos);
}

TEST_F(TokenizeTest, TheLastOfEqualKeysIsTheDocument) {
  TokenizeArgs a = args({write("in.jsonl", "{\"text\": \"a\", \"text\": \"b\"}\n")});
  tokenize(a);
  EXPECT_EQ(documents(a), std::vector<std::string>{"b"});
}

TEST_F(TokenizeTest, AFailedRunLeavesOlderFiles) {
  TokenizeArgs a = args({write("good.jsonl", "{\"text\": \"a\"}\n")});
  tokenize(a);
  const std::string bin = read_file(a.prefix + ".bin"), idx = read_file(a.prefix + ".idx");
  a.inputs = {a.inputs[0], write("bad.jsonl", "nonsense\n")};
  for (int64_t n_epoch : {1, 2}) {
    a.n_epoch = n_epoch;
    EXPECT_THROW(tokenize(a), Error);
    EXPECT_EQ(read_file(a.prefix + ".bin"), bin);
    EXPECT_EQ(read_file(a.prefix + ".idx"), idx);
    EXPECT_EQ(std::distance(fs::directory_iterator(folder_.root()), {}), 4);
  }
}

TEST_F(TokenizeTest, CharactersInTwoPasses) {
  const std::vector<std::string> inputs = {write("a.txt", "h\xC3\xA9llo\r\n"), write("b.jsonl", "{\"text\": \"\\u4f60 o\"}\n")};
  const std::vector<char32_t> characters = collect_characters(args(inputs, "bytes")).sorted();
  EXPECT_EQ(characters, (std::vector<char32_t>{'\n', '\r', ' ', 'h', 'l', 'o', 0xE9, 0x4F60}));
  TokenizeArgs a = args(inputs, "bytes");
  a.tokenizer = make_char_tokenizer(characters, "vocab");
  tokenize(a);
  EXPECT_EQ(documents(a), (std::vector<std::string>{"h\xC3\xA9llo\r\n", "\xE4\xBD\xA0 o"}));
  EXPECT_EQ(Binidx(a.prefix).largest_token(), 8);
}

TEST_F(TokenizeTest, AMissingCharacterIsNamedWithFileAndPlace) {
  const std::string txt = write("a.txt", std::string(5000, 'a') + "z"),
                    jsonl = write("a.jsonl", "{\"text\": \"a\"}\n{\"text\": \"aaz\"}\n");
  TokenizeArgs a = args({txt});
  a.tokenizer = make_char_tokenizer(std::vector<char32_t>{'a'}, "v.json");
  a.block_bytes = 100;
  EXPECT_EQ(refusal(a), txt + ": byte 5000: the character U+007A ('z') is not in the vocabulary v.json");
  a.inputs = {jsonl};
  EXPECT_EQ(refusal(a), jsonl + ":2:1: the character U+007A ('z') is not in the vocabulary v.json (byte 2 of the text)");
}

// Runs `action` in a process of its own and returns its exit code.
template <class Action>
int in_child(Action&& action) {
  const pid_t child = fork();
  if (child == 0) _exit(action());
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

TEST_F(TokenizeTest, AFullDiskIsOneSentenceAndNothingIsLeft) {
  TokenizeArgs a = args({write("big.txt", std::string(6 << 20, 'a'))}, "bytes");
  a.threads = 2;
  write("out.bin", "old");
  EXPECT_EQ(in_child([&] {
              signal(SIGXFSZ, SIG_IGN);
              const rlimit limit{3 << 20, 3 << 20};
              setrlimit(RLIMIT_FSIZE, &limit);
              try {
                tokenize(a);
              } catch (const Error& e) {
                const bool named = std::string(e.what()).find("out.bin.tmp: cannot write: File too large") != std::string::npos;
                return named ? static_cast<int>(e.code()) : 90;
              }
              return 91;
            }),
            static_cast<int>(ExitCode::failure));
  EXPECT_EQ(read_file(a.prefix + ".bin"), "old");
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_.root()), {}), 2);
}

TEST_F(TokenizeTest, MemoryDoesNotGrowWithTheInput) {
#if defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "the sanitizer keeps freed memory";
#endif
  const std::string part = mixed_text(5, 1 << 20);
  const std::string path = folder_.path("large.txt");
  {
    std::ofstream out(path, std::ios::binary);
    for (int i = 0; i < 64; ++i) out << part;
  }
  TokenizeArgs a = args({path});
  a.threads = 2;
  const int grown_mib = in_child([&] {
    rusage before, after;
    getrusage(RUSAGE_SELF, &before);
    tokenize(a);
    getrusage(RUSAGE_SELF, &after);
    return static_cast<int>(std::min<int64_t>((after.ru_maxrss - before.ru_maxrss) >> 10, 127));
  });
  EXPECT_GE(grown_mib, 0);
  EXPECT_LT(grown_mib, 48) << "of 64 MiB of text";
}

}  // namespace
}  // namespace rk
