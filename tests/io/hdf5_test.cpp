// HDF5: what is written is read back, in any range, type and rank; broken files are refused by name.
#include "io/hdf5/hdf5.h"

#include <gtest/gtest.h>
#include <sys/mount.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <numeric>

#include "base/error.h"
#include "io/disk.h"
#include "support/temporary_folder.h"

namespace rk {
namespace {

using testing_support::TemporaryFolder;

TEST(Hdf5, EveryTypeRoundTrips) {
  TemporaryFolder folder;
  const std::vector<DType> types = {DType::f64, DType::f32, DType::bf16, DType::f16, DType::i64,    DType::i32,
                                    DType::i16, DType::i8,  DType::u8,   DType::u16, DType::boolean};
  std::vector<std::byte> bytes(8 * 24);
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i % 2);
  {
    Hdf5Writer w(folder.path("a.h5"));
    for (DType t : types) w.write(cat("group/", name_of(t)), t, {2, 3, 4}, bytes.data());
    w.write("scalar", DType::f64, {}, bytes.data());
    w.write("empty", DType::f32, {0, 3}, nullptr);
    w.attribute("group", "note", "grüße");
    w.attribute("", "root", 2.5);
    w.attribute("scalar", "shape", std::vector<int64_t>{5, 6});
    w.finish();
  }
  Hdf5Reader r(folder.path("a.h5"));
  for (DType t : types) {
    const std::string name = cat("group/", name_of(t));
    EXPECT_EQ(r.info(name).dtype, t);
    EXPECT_EQ(r.info(name).shape, (std::vector<int64_t>{2, 3, 4}));
    std::vector<std::byte> back(24 * size_of(t));
    r.read(name, 0, 24, t, back.data());
    EXPECT_TRUE(std::equal(back.begin(), back.end(), bytes.begin())) << name;
  }
  EXPECT_EQ(r.datasets().size(), types.size() + 2);
  EXPECT_TRUE(r.info("scalar").shape.empty());
  EXPECT_EQ(r.info("empty").numel(), 0);
  EXPECT_TRUE(r.read_doubles("empty").empty());
  EXPECT_EQ(r.text_attribute("group", "note"), "grüße");
  EXPECT_EQ(r.number_attribute("", "root"), 2.5);
  EXPECT_EQ(r.ints_attribute("scalar", "shape"), (std::vector<int64_t>{5, 6}));
  EXPECT_EQ(r.number_attribute("scalar", "none"), std::nullopt);
}

TEST(Hdf5, AnyFlatRangeOfAnyRank) {
  TemporaryFolder folder;
  const std::vector<int64_t> shape = {3, 4, 1, 5};
  std::vector<float> x(60);
  std::iota(x.begin(), x.end(), 0.f);
  Hdf5Writer w(folder.path("a.h5"));
  w.create("x", DType::f32, shape);
  for (int64_t i = 0; i < 60; i += 7) w.write_range("x", i, std::min<int64_t>(7, 60 - i), x.data() + i);
  w.finish();
  Hdf5Reader r(folder.path("a.h5"));
  for (int64_t first = 0; first < 60; ++first) {
    for (int64_t n = 0; n <= 60 - first; ++n) {
      std::vector<double> part(static_cast<size_t>(n));
      r.read("x", first, n, DType::f64, part.data());
      for (int64_t i = 0; i < n; ++i) ASSERT_EQ(part[static_cast<size_t>(i)], static_cast<double>(first + i));
    }
  }
  EXPECT_THROW(r.read("x", 50, 11, DType::f64, x.data()), Error);
}

TEST(Hdf5, LargeDatasetsAreChunkedAndRead) {
  TemporaryFolder folder;
  std::vector<float> x(1300 * 1100);
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i);
  Hdf5Writer w(folder.path("a.h5"));
  w.write("x", DType::f32, {1300, 1100}, x.data());
  w.finish();
  Hdf5Reader r(folder.path("a.h5"));
  const std::vector<double> back = r.read_doubles("x");
  for (size_t i = 0; i < x.size(); ++i) ASSERT_EQ(back[i], static_cast<double>(x[i]));
}

TEST(Hdf5, ConversionsThatLoseIntegersAreRefused) {
  TemporaryFolder folder;
  const std::vector<double> x = {1, 2.5};
  Hdf5Writer w(folder.path("a.h5"));
  w.write("x", DType::f64, {2}, x.data());
  w.finish();
  Hdf5Reader r(folder.path("a.h5"));
  EXPECT_THROW(r.read_ints("x"), Error);
  EXPECT_THROW(r.read_doubles("y"), Error);
}

TEST(Hdf5, UnfinishedFilesAreRemovedAndBrokenOnesRefused) {
  TemporaryFolder folder;
  std::vector<float> x(1 << 20, 1.f);
  {
    Hdf5Writer w(folder.path("a.h5"));
    w.write("x", DType::f32, {1 << 20}, x.data());
  }
  EXPECT_FALSE(std::filesystem::exists(folder.path("a.h5")));
  {
    Hdf5Writer w(folder.path("b.h5"));
    w.write("x", DType::f32, {1 << 20}, x.data());
    w.finish();
  }
  std::filesystem::resize_file(folder.path("b.h5"), 100000);
  EXPECT_THROW(Hdf5Reader(folder.path("b.h5")), Error);
  std::ofstream(folder.path("c.h5")) << "no such format";
  EXPECT_THROW(Hdf5Reader(folder.path("c.h5")), Error);
  EXPECT_THROW(Hdf5Reader(folder.path("missing.h5")), Error);
}

// A failed write must not keep the room of its deleted file, or no later one would succeed.
TEST(Hdf5, AFullDiskIsLetGo) {
  TemporaryFolder folder;
  const std::string small = folder.path("small");
  std::filesystem::create_directory(small);
  if (mount("none", small.c_str(), "tmpfs", 0, "size=4m") != 0) GTEST_SKIP() << "needs the right to mount";
  const uint64_t room = free_bytes(small + "/x");
  const std::vector<float> x(1 << 18, 1.f);
  for (int attempt = 0; attempt < 3; ++attempt) {
    try {
      Hdf5Writer w(small + "/x.h5");
      w.create("x", DType::f32, {4 << 20});
      for (int64_t i = 0; i < 16; ++i) w.write_range("x", i << 18, 1 << 18, x.data());
      w.finish();
      ADD_FAILURE() << "16 MiB were written to 4";
    } catch (const Error& e) {
      EXPECT_NE(std::string(e.what()).find("x.h5: No space left"), std::string::npos) << e.what();
    }
    EXPECT_EQ(free_bytes(small + "/x"), room);
  }
  {
    Hdf5Writer w(small + "/y.h5");
    w.write("x", DType::f32, {1 << 18}, x.data());
    w.finish();
  }
  EXPECT_EQ(Hdf5Reader(small + "/y.h5").info("x").numel(), 1 << 18);
  umount2(small.c_str(), MNT_DETACH);
}

}  // namespace
}  // namespace rk
