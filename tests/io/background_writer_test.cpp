// Files written behind the caller's back, and their checksums.
#include "io/background_writer.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>

#include "base/error.h"
#include "io/zip/crc.h"
#include "support/temporary_folder.h"

namespace rk {
namespace {

TEST(BackgroundWriter, WritesWhatWasPutInOrder) {
  testing_support::TemporaryFolder folder;
  const std::string path = folder.path("a.pth");
  BackgroundWriter writer(create_tensor_file(path, {{"a", DType::i32, {1000}}, {"b", DType::i32, {7, 143}}}, {}), Device::cpu, 4 * 37);
  for (int32_t at = 0; at < 2001;) {
    const Buffer& buffer = writer.take();
    int32_t n = 0;
    for (; n < 1 + at % 37 && at < 2001; ++n, ++at) buffer.tensor(DType::i32, {37}).as<int32_t>()[n] = at;
    writer.put(static_cast<size_t>(n) * sizeof(int32_t));
  }
  writer.finish();
  const auto reader = open_tensor_file(path);
  EXPECT_NE(reader->verify().find("is right"), std::string::npos);
  std::vector<int32_t> values(2001);
  reader->read(0, 0, 1000, values.data());
  reader->read(1, 0, 1001, values.data() + 1000);
  for (int32_t i = 0; i < 2001; ++i) ASSERT_EQ(values[static_cast<size_t>(i)], i);
}

TEST(BackgroundWriter, AnUnfinishedFileLeavesNothing) {
  testing_support::TemporaryFolder folder;
  {
    BackgroundWriter writer(create_tensor_file(folder.path("a.pth"), {{"a", DType::u8, {100}}}, {}), Device::cpu, 50);
    writer.take();
    writer.put(50);
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder.root()));
}

// A disk that is full after some bytes.
class Full : public TensorWriter {
 public:
  void write(const void*, size_t n_bytes) override {
    written_ += n_bytes;
    if (written_ > 100) fail("the disk is full", ExitCode::failure);
  }
  void finish() override { finished = true; }
  bool finished = false;

 private:
  size_t written_ = 0;
};

TEST(BackgroundWriter, AnErrorIsThrownByTheNextCall) {
  for (size_t n_bytes : {40, 101}) {
    BackgroundWriter writer(std::make_unique<Full>(), Device::cpu, n_bytes);
    const auto write_all = [&] {
      for (int i = 0; i < 50; ++i) {
        writer.take();
        writer.put(n_bytes);
      }
    };
    EXPECT_THROW(write_all(), Error);
    EXPECT_THROW(writer.finish(), Error);
  }
}

// Bit by bit, as the polynomial says.
uint32_t plain_crc(uint32_t crc, const unsigned char* data, size_t n) {
  crc = ~crc;
  for (size_t i = 0; i < n; ++i) {
    crc ^= data[i];
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc;
}

TEST(Crc, IsTheOneOfZipArchives) {
  EXPECT_EQ(zip::crc32(0, "123456789", 9), 0xcbf43926);
  std::vector<unsigned char> bytes(5000);
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<unsigned char>(i * i >> 3);
  uint32_t running = 0;
  for (size_t n = 0; n < 700; ++n)
    for (size_t first : {0, 1, 13}) {
      EXPECT_EQ(zip::crc32(0, &bytes[first], n), plain_crc(0, &bytes[first], n)) << n << " bytes from " << first;
      EXPECT_EQ(zip::crc32(running, &bytes[first], n), plain_crc(running, &bytes[first], n)) << n << " bytes more, from " << first;
      running = zip::crc32(running, &bytes[first], n);
    }
  EXPECT_EQ(zip::crc32(0, bytes.data(), bytes.size()), plain_crc(0, bytes.data(), bytes.size()));
}

}  // namespace
}  // namespace rk
