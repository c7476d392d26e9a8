#include "base/mapped_file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <utility>

#include "base/error.h"

namespace rk {
namespace {

namespace fs = std::filesystem;

class MappedFileTest : public testing::Test {
 protected:
  MappedFileTest() : folder_(fs::temp_directory_path() / cat("rookery_mapped_file_", getpid())) { fs::create_directories(folder_); }
  ~MappedFileTest() override { fs::remove_all(folder_); }

  std::string write(const std::string& name, const std::string& content) const {
    const std::string path = folder_ / name;
    std::ofstream(path, std::ios::binary) << content;
    return path;
  }

  fs::path folder_;
};

std::string text_of(const MappedFile& file) { return {reinterpret_cast<const char*>(file.bytes().data()), file.size()}; }

TEST_F(MappedFileTest, ShowsTheBytes) {
  const std::string path = write("a", "some bytes");
  const MappedFile file(path);
  EXPECT_EQ(text_of(file), "some bytes");
  EXPECT_EQ(file.path(), path);
}

TEST_F(MappedFileTest, AnEmptyFileHasNoBytes) {
  const MappedFile file(write("empty", ""));
  EXPECT_EQ(file.size(), 0u);
}

TEST_F(MappedFileTest, MovesKeepTheMap) {
  MappedFile a(write("a", "first"));
  MappedFile b = std::move(a);
  EXPECT_EQ(text_of(b), "first");
  MappedFile c(write("c", "second"));
  c = std::move(b);
  EXPECT_EQ(text_of(c), "first");
}

TEST_F(MappedFileTest, RefusalsNameTheFile) {
  const std::string missing = folder_ / "missing";
  for (const std::string& path : {missing, folder_.string(), std::string("/dev/null")}) {
    try {
      const MappedFile file(path);
      FAIL() << path;
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ExitCode::bad_input);
      EXPECT_EQ(std::string(e.what()).find(path), 0u) << e.what();
    }
  }
}

TEST_F(MappedFileTest, ManyMapsAtATime) {
  const std::string path = write("a", "x");
  std::vector<MappedFile> files;
  for (int i = 0; i < 1500; ++i) files.emplace_back(path);
  for (const MappedFile& file : files) ASSERT_EQ(text_of(file), "x");
}

using MappedFileDeathTest = MappedFileTest;

TEST_F(MappedFileDeathTest, ATruncatedFileIsOneSentenceAndExitCode2) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const std::string path = write("shrinking", std::string(100000, 'x'));
  EXPECT_EXIT(
      {
        install_sigbus_handler();
        const MappedFile file(path);
        const MappedFile moved_away = MappedFile(write("other", "y"));
        if (truncate(path.c_str(), 10000) != 0) _exit(99);
        volatile char sum = 0;
        for (size_t i = 0; i < file.size(); ++i) sum = sum + static_cast<char>(file.bytes()[i]);
      },
      testing::ExitedWithCode(2), "^.*/shrinking: cannot be read at byte offset 12288 of 100000: .*");
}

TEST_F(MappedFileDeathTest, OtherBusErrorsEndAsBefore) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        install_sigbus_handler();
        raise(SIGBUS);
        raise(SIGBUS);
      },
      testing::KilledBySignal(SIGBUS), "");
}

}  // namespace
}  // namespace rk
