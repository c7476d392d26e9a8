// All formats of tensor files through the common interface.
#include "io/tensor_file.h"

#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include "base/error.h"
#include "io/pth/pth.h"
#include "support/temporary_folder.h"

namespace rk {
namespace {

namespace fs = std::filesystem;
using testing_support::TemporaryFolder;

const std::vector<std::string> endings = {".pth", ".safetensors", ".h5"};

std::vector<TensorInfo> all_kinds() {
  std::vector<TensorInfo> infos = {{"first_empty", DType::f64, {0}}};
  for (DType t : {DType::i8, DType::bf16, DType::f64, DType::f32, DType::f16, DType::i64, DType::i32, DType::i16, DType::u8, DType::u16,
                  DType::boolean})
    infos.push_back({cat("blocks.0.att.", name_of(t)), t, {3, 1, 7}});
  infos.push_back({"scalar", DType::f32, {}});
  infos.push_back({"größe", DType::bf16, {5}});
  infos.push_back({"seven", DType::f32, {1, 2, 1, 2, 1, 2, 1}});
  infos.push_back({"last_empty", DType::f32, {0, 3}});
  return infos;
}

std::vector<std::byte> bytes_for(const TensorInfo& t) {
  std::vector<std::byte> bytes(static_cast<size_t>(t.numel()) * size_of(t.dtype));
  for (size_t i = 0; i < bytes.size(); ++i)
    bytes[i] = static_cast<std::byte>(t.dtype == DType::boolean ? i % 2 : (i * 37 + t.name.size()) % 120);
  return bytes;
}

void write_all(const std::string& path, const std::vector<TensorInfo>& infos, size_t step,
               const std::map<std::string, std::string>& metadata = {}) {
  const auto writer = create_tensor_file(path, infos, metadata);
  // Pieces that end anywhere, across tensors as well.
  std::vector<std::byte> all;
  for (const TensorInfo& t : infos) {
    const auto bytes = bytes_for(t);
    all.insert(all.end(), bytes.begin(), bytes.end());
  }
  for (size_t at = 0; at < all.size(); at += step) writer->write(all.data() + at, std::min(step, all.size() - at));
  writer->finish();
}

TEST(TensorFile, EveryFormatKeepsEveryType) {
  TemporaryFolder folder;
  const auto infos = all_kinds();
  for (const std::string& ending : endings)
    for (size_t step : {size_t{1}, size_t{5}, size_t{1000}}) {
      const std::string path = folder.path("file" + ending);
      const std::map<std::string, std::string> metadata = {{"config", "a = 1\nb = \"ü\"\n"}, {"step", "12"}};
      write_all(path, infos, step, metadata);
      EXPECT_FALSE(fs::exists(path + ".tmp"));
      const auto reader = open_tensor_file(path);
      EXPECT_EQ(reader->metadata(), metadata) << path;
      ASSERT_EQ(reader->tensors().size(), infos.size());
      for (const TensorInfo& t : infos) {
        const int index = reader->find(t.name);
        ASSERT_GE(index, 0) << path << " " << t.name;
        const auto i = static_cast<size_t>(index);
        EXPECT_EQ(reader->tensors()[i].dtype, t.dtype);
        EXPECT_EQ(reader->tensors()[i].shape, t.shape);
        const auto bytes = bytes_for(t);
        std::vector<std::byte> back(bytes.size());
        reader->read(i, 0, t.numel(), back.data());
        EXPECT_EQ(back, bytes) << path << " " << t.name;
      }
      EXPECT_NE(reader->verify(), "");
      EXPECT_EQ(reader->find("none"), -1);
    }
}

TEST(TensorFile, PthAndHdf5KeepTheOrder) {
  TemporaryFolder folder;
  const auto infos = all_kinds();
  for (const char* name : {"a.pth", "a.h5"}) {
    write_all(folder.path(name), infos, 64);
    const auto reader = open_tensor_file(folder.path(name));
    for (size_t i = 0; i < infos.size(); ++i) EXPECT_EQ(reader->tensors()[i].name, infos[i].name);
  }
}

TEST(TensorFile, RangesAndConversions) {
  TemporaryFolder folder;
  std::vector<bf16> x;
  for (int i = 0; i < 600; ++i) x.emplace_back(static_cast<float>(i % 250) / 4);
  for (const std::string& ending : endings) {
    const std::string path = folder.path("x" + ending);
    const auto writer = create_tensor_file(path, {{"x", DType::bf16, {20, 30}}}, {});
    writer->write(x.data(), x.size() * 2);
    writer->finish();
    const auto reader = open_tensor_file(path);
    for (auto [first, n] : {std::pair<int64_t, int64_t>{0, 600}, {17, 100}, {599, 1}, {30, 0}}) {
      std::vector<float> f(static_cast<size_t>(n));
      std::vector<double> d(f.size());
      std::vector<bf16> b(f.size());
      reader->read_as<float>(0, first, n, f.data());
      reader->read_as<double>(0, first, n, d.data());
      reader->read_as<bf16>(0, first, n, b.data());
      for (size_t i = 0; i < f.size(); ++i) {
        ASSERT_EQ(f[i], static_cast<float>((static_cast<int64_t>(i) + first) % 250) / 4);
        ASSERT_EQ(d[i], static_cast<double>(f[i]));
        ASSERT_EQ(b[i].bits, x[i + static_cast<size_t>(first)].bits);
      }
    }
  }
}

TEST(TensorFile, ContentDecidesNotTheName) {
  TemporaryFolder folder;
  for (const std::string& ending : endings) {
    write_all(folder.path("a" + ending), all_kinds(), 100);
    fs::rename(folder.path("a" + ending), folder.path("model.bin"));
    EXPECT_EQ("." + std::string(open_tensor_file(folder.path("model.bin"))->format()), ending);
  }
}

TEST(TensorFile, WhatCannotBeWrittenIsRefused) {
  TemporaryFolder folder;
  const TensorInfo x{"x", DType::f32, {2}};
  EXPECT_THROW(create_tensor_file(folder.path("a.txt"), {x}, {}), Error);
  EXPECT_THROW(create_tensor_file(folder.path("none/a.pth"), {x}, {}), Error);
  for (const std::string& ending : endings) {
    EXPECT_THROW(create_tensor_file(folder.path("a" + ending), {x, x}, {}), Error);
    EXPECT_THROW(create_tensor_file(folder.path("a" + ending), {{"\xff", DType::f32, {2}}}, {}), Error);
  }
  EXPECT_THROW(create_tensor_file(folder.path("a.h5"), {{"../x", DType::f32, {2}}, {"", DType::f32, {1}}}, {}), Error);
  EXPECT_TRUE(fs::is_empty(folder.root()));
}

TEST(TensorFile, AnUnfinishedWriterLeavesNothing) {
  TemporaryFolder folder;
  const std::vector<float> x(10);
  for (const std::string& ending : endings) {
    const std::string path = folder.path("a" + ending);
    { create_tensor_file(path, {{"x", DType::f32, {10}}}, {})->write(x.data(), 20); }
    EXPECT_TRUE(fs::is_empty(folder.root()));
    // The older file of that name stays until the new one is complete.
    std::ofstream(path) << "old";
    { create_tensor_file(path, {{"x", DType::f32, {10}}}, {})->write(x.data(), 20); }
    EXPECT_EQ(fs::file_size(path), 3u);
    fs::remove(path);
  }
}

TEST(TensorFile, FilesThatAreNone) {
  TemporaryFolder folder;
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", "is empty"}, {"version https://git-lfs.github.com/spec/v1\n", "Git LFS"}, {"<!DOCTYPE html>", "HTML"}, {"hello", "no .pth"}};
  for (const auto& [text, expected] : cases) {
    std::ofstream(folder.path("model.pth")) << text;
    try {
      open_tensor_file(folder.path("model.pth"));
      FAIL() << text;
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ExitCode::bad_input);
      EXPECT_NE(std::string(e.what()).find("model.pth"), std::string::npos);
      EXPECT_TRUE(std::string(e.what()).find(expected) != std::string::npos || text == "hello") << e.what();
    }
  }
  EXPECT_THROW(open_tensor_file(folder.path("missing.pth")), Error);
}

// The sentence of a write that must fail, with nothing left behind.
void expect_disk_error(const std::string& path, const std::string& reason) {
  std::vector<std::byte> block(1 << 20);
  try {
    const auto writer = create_tensor_file(path, {{"x", DType::f32, {4 << 20}}}, {});
    for (int i = 0; i < 16; ++i) writer->write(block.data(), block.size());
    writer->finish();
    ADD_FAILURE() << path << " was written";
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ExitCode::failure);
    EXPECT_NE(std::string(e.what()).find(path), std::string::npos) << e.what();
    EXPECT_NE(std::string(e.what()).find(reason), std::string::npos) << e.what();
    EXPECT_NE(std::string(e.what()).find("bytes are free"), std::string::npos) << e.what();
  }
  EXPECT_FALSE(fs::exists(path));
  EXPECT_FALSE(fs::exists(path + ".tmp"));
}

TEST(TensorFile, AFullDisk) {
  TemporaryFolder folder;
  const std::string small = folder.path("small");
  fs::create_directory(small);
  if (mount("none", small.c_str(), "tmpfs", 0, "size=4m") != 0) GTEST_SKIP() << "needs the right to mount";
  for (const std::string& ending : endings) expect_disk_error(small + "/a" + ending, "No space left");
  umount2(small.c_str(), MNT_DETACH);
}

TEST(TensorFile, ADiskThatFillsUpWhileWriting) {
  TemporaryFolder folder;
  for (const std::string& ending : endings) {
    const pid_t pid = fork();
    if (pid == 0) {
      signal(SIGXFSZ, SIG_IGN);
      const rlimit limit{3 << 20, 3 << 20};
      setrlimit(RLIMIT_FSIZE, &limit);
      expect_disk_error(folder.path("a" + ending), "File too large");
      _exit(::testing::Test::HasFailure() ? 1 : 0);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << ending;
  }
  EXPECT_TRUE(fs::is_empty(folder.root()));
}

}  // namespace
}  // namespace rk
