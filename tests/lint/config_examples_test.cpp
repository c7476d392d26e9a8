// The examples in configs/ are files that `rookery train --config` takes.
#include <gtest/gtest.h>

#include <filesystem>

#include "train/build.h"
#include "train/config.h"

namespace rk {
namespace {

TEST(ConfigExamples, AreAccepted) {
  int n_examples = 0;
  for (const auto& entry : std::filesystem::directory_iterator(ROOKERY_SOURCE_DIR "/configs")) {
    if (entry.path().extension() != ".toml") continue;
    ++n_examples;
    RunConfig config = parse_config({"--config", entry.path().string(), "--data_file", "tokens"});
    EXPECT_NO_THROW(validate(config, 1)) << entry.path();
    EXPECT_GT(config.origins.size(), 5u) << entry.path();
  }
  EXPECT_GT(n_examples, 3);
}

// Parameters of the models that one file starts, by the table of golden rwkv456 §5.
TEST(ConfigExamples, OldFamiliesHaveTheirSizes) {
  struct Row {
    const char* size;
    int64_t rwkv4, rwkv5, rwkv6;
  };
  const Row table[] = {{"0b1", 192'780'288, 192'807'936, 196'955'136},       {"0b4", 461'647'872, 461'721'600, 472'780'800},
                       {"1b5", 1'577'607'168, 1'577'754'624, 1'599'873'024}, {"3b", 3'062'753'280, 3'062'999'040, 3'099'863'040},
                       {"7b", 7'517'650'944, 7'518'044'160, 7'635'746'816},  {"14b", 13'843'968'000, 13'844'717'568, 14'069'088'256}};
  for (const Row& row : table)
    for (const auto& [arch, n] : {std::pair{"x040", row.rwkv4}, {"x052", row.rwkv5}, {"", row.rwkv6}}) {
      std::vector<std::string> words{"--config", cat(ROOKERY_SOURCE_DIR "/configs/rwkv456_", row.size, ".toml"), "--data_file", "tokens"};
      if (*arch) words.insert(words.end(), {"--arch", arch});
      RunConfig config = parse_config(words);
      validate(config, 1);
      const Family& family = family_of(config.arch);
      EXPECT_EQ(family.make(family.spec_for_new(given_spec(config)))->params.numel(), n) << row.size << " " << arch;
    }
}

}  // namespace
}  // namespace rk
