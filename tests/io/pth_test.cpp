// .pth beyond the golden cases: the archive that is written, and streams that would blow up a careless reader.
#include "io/pth/pth.h"

#include <gtest/gtest.h>

#include <cstring>
#include <fstream>

#include "base/error.h"
#include "io/disk.h"
#include "io/zip/zip_writer.h"
#include "support/read_file.h"
#include "support/temporary_folder.h"

namespace rk {
namespace {

using testing_support::TemporaryFolder;

TEST(Pth, RecordsAreAlignedAndNamedAfterTheFile) {
  TemporaryFolder folder;
  const std::string path = folder.path("rwkv-12.pth");
  const std::vector<float> x = {1, 2, 3};
  const auto writer = create_tensor_file(path, {{"a", DType::f32, {3}}, {"b", DType::f32, {0}}, {"c", DType::f32, {}}}, {});
  writer->write(x.data(), 12);
  writer->write(x.data(), 4);
  writer->finish();
  const std::string file = testing_support::read_file(path);
  const zip::Archive archive(path, std::as_bytes(std::span(file)));
  EXPECT_EQ(archive.entries()[0].name, "rwkv-12/data.pkl");
  EXPECT_TRUE(archive.find("rwkv-12/version"));
  EXPECT_TRUE(archive.find("rwkv-12/byteorder"));
  EXPECT_EQ(archive.find("rwkv-12/data/1")->size, 0u);
  EXPECT_FALSE(archive.find("rwkv-12/rookery.json"));
  for (const zip::Entry& e : archive.entries()) {
    EXPECT_EQ((e.stored.data() - reinterpret_cast<const std::byte*>(file.data())) % 64, 0) << e.name;
    EXPECT_EQ(zip::crc_of(path, e), e.crc) << e.name;
  }
}

TEST(Pth, MoreRecordsThanAPlainZipHolds) {
  TemporaryFolder folder;
  std::vector<TensorInfo> infos;
  for (int i = 0; i < 66000; ++i) infos.push_back({cat("t", i), DType::f32, {1}});
  const auto writer = create_tensor_file(folder.path("a.pth"), infos, {});
  for (int i = 0; i < 66000; ++i) {
    const auto x = static_cast<float>(i);
    writer->write(&x, 4);
  }
  writer->finish();
  const auto reader = open_tensor_file(folder.path("a.pth"));
  ASSERT_EQ(reader->tensors().size(), infos.size());
  for (size_t i : {size_t{0}, size_t{65534}, size_t{65535}, size_t{65999}}) {
    float x = 0;
    reader->read(i, 0, 1, &x);
    EXPECT_EQ(x, static_cast<float>(i));
  }
}

class Hostile : public ::testing::Test {
 protected:
  // The sentence with which an archive of this pickle is refused; "" if it is not.
  std::string refusal(const std::string& pickle) {
    const std::string path = folder_.path("hostile.pth");
    {
      NewFile file(path);
      zip::Writer writer(file);
      writer.add("a/data.pkl", "\x80\x02" + pickle + ".");
      writer.add("a/data/0", std::string(4, '\0'));
      writer.add("a/version", "3\n");
      writer.finish();
      file.finish();
    }
    try {
      open_tensor_file(path);
      return "";
    } catch (const Error& e) {
      EXPECT_NE(std::string(e.what()).find("hostile.pth"), std::string::npos);
      return e.what();
    }
  }
  static std::string times(const std::string& text, int n) {
    std::string all;
    for (int i = 0; i < n; ++i) all += text;
    return all;
  }
  static std::string binunicode(const std::string& text) {
    std::string bytes = "X....";
    const auto n = static_cast<uint32_t>(text.size());
    std::memcpy(bytes.data() + 1, &n, 4);
    return bytes + text;
  }
  // One float, remembered as value 0.
  static std::string tensor() {
    return "ctorch._utils\n_rebuild_tensor_v2\n((" + binunicode("storage") + "ctorch\nFloatStorage\n" + binunicode("0") +
           binunicode("cpu") + "K\x01tQK" + std::string(1, '\0') + "K\x01\x85K\x01\x85\x89" + "ccollections\nOrderedDict\n)RtRq" +
           std::string(1, '\0');
  }
  static std::string get(int key) { return "h" + std::string(1, static_cast<char>(key)); }
  static std::string put(int key) { return "q" + std::string(1, static_cast<char>(key)); }
  TemporaryFolder folder_;
};

TEST_F(Hostile, TheSoundOnesAreTaken) {
  EXPECT_EQ(refusal(tensor()), "");
  EXPECT_EQ(refusal("}" + binunicode("w") + tensor() + "s"), "");
  EXPECT_EQ(refusal("N"), "");  // no tensor at all
}

TEST_F(Hostile, MillionsOfValues) { EXPECT_NE(refusal(times("]", 3'000'000)).find("more than"), std::string::npos); }

TEST_F(Hostile, CallsThatMultiplyAList) {
  const std::string list = "](" + times("K\x01", 200'000) + "e" + put(1) + "(" + get(1) + "t" + put(2);
  EXPECT_NE(refusal("c__builtin__\nset\n" + put(3) + list + times(get(3) + get(2) + "R", 1000)).find("more than"), std::string::npos);
}

TEST_F(Hostile, CallsThatMultiplyAText) {
  const std::string text =
      "c_codecs\nencode\n" + put(1) + "(" + binunicode(std::string(4 << 20, 'a')) + binunicode("latin1") + "t" + put(2);
  EXPECT_NE(refusal(text + times(get(1) + get(2) + "R", 1000)).find("exceed"), std::string::npos);
}

TEST_F(Hostile, ListsThatShareATensorTenfoldOnThirtyLevels) {
  std::string pickle = "(" + tensor();
  for (int level = 1; level <= 30; ++level) pickle += "]" + put(level) + "(" + times(get(level - 1), 10) + "e";
  EXPECT_NE(refusal(pickle + "t"), "");
}

TEST_F(Hostile, DeepAndCircularContainersWithATensor) {
  EXPECT_NE(refusal("(" + tensor() + times("](", 100'000) + get(0) + times("e", 100'000) + "t"), "");
  EXPECT_NE(refusal("(" + tensor() + "]" + put(1) + "(" + get(1) + get(0) + "et"), "");
}

TEST_F(Hostile, AKeyThatIsAContainerInATuple) { EXPECT_NE(refusal("}]\x85K\x01s").find("key"), std::string::npos); }

TEST_F(Hostile, NamesAreShownWithoutTheirControlCharacters) {
  const std::string message = refusal("cos\n\x1b[31msystem\n");
  EXPECT_EQ(message.find('\x1b'), std::string::npos);
  EXPECT_NE(message.find("system"), std::string::npos);
}

TEST_F(Hostile, ATensorOfTooManyDimensions) {
  std::string pickle = tensor();
  const std::string one = "K\x01\x85K\x01\x85";
  const std::string many = "(" + times("K\x01", 40) + "t(" + times("K\x01", 40) + "t";
  pickle.replace(pickle.find(one), one.size(), many);
  EXPECT_NE(refusal(pickle).find("dimensions"), std::string::npos);
}

}  // namespace
}  // namespace rk
