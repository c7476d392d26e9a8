#include "data/sampling.h"

#include <gtest/gtest.h>

#include <set>

#include "base/error.h"

namespace rk {
namespace {

TEST(Primes, SmallOnes) {
  std::set<int64_t> primes;
  for (int64_t n = -3; n < 40; ++n) {
    if (is_prime(n)) primes.insert(n);
  }
  EXPECT_EQ(primes, (std::set<int64_t>{2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37}));
  EXPECT_FALSE(is_prime(25));
  EXPECT_FALSE(is_prime(int64_t{999983} * 999983));
  EXPECT_TRUE(is_prime(1335352169));
}

TEST(MagicPrime, IsTheLargestBelowTheSlotsThatIsTwoModuloThree) {
  EXPECT_EQ(find_magic_prime(200499, 512), 389);
  EXPECT_EQ(find_magic_prime(200499, 4096), 47);
  EXPECT_EQ(find_magic_prime(332115325534, 4096), 81082817);
  EXPECT_EQ(find_magic_prime(64 * 18, 64), 17);  // slots - 1 itself
  EXPECT_EQ(find_magic_prime(64 * 18 - 1, 64), 11);
}

TEST(MagicPrime, NeedsThreeContexts) {
  EXPECT_EQ(find_magic_prime(3 * 64, 64), 2);
  EXPECT_EQ(find_magic_prime(3 * 64 - 1, 64), std::nullopt);
  EXPECT_EQ(find_magic_prime(0, 64), std::nullopt);
}

TEST(MagicPrime, EveryRunOfPSamplesVisitsEverySlotOnce) {
  for (int64_t p : {2, 5, 11, 617}) {
    for (int64_t first : {int64_t{1}, 7 * p + 3}) {
      std::set<int64_t> slots;
      for (int64_t ii = first; ii < first + p; ++ii) slots.insert(sample_offset(ii, p, 128) / 128);
      EXPECT_EQ(static_cast<int64_t>(slots.size()), p);
      EXPECT_EQ(*slots.rbegin(), p - 1);
    }
  }
}

TEST(MagicPrime, IsExactFarBeyond64Bits) {
  EXPECT_EQ(sample_offset(1, 2926181, 512), 925941248);
  const int64_t p = 1335352169, ii = int64_t{1} << 61;
  EXPECT_EQ(sample_offset(ii, p, 1), sample_offset(ii % p, p, 1));
}

std::string refusal(int64_t prime, int64_t n_tokens, int64_t ctx_len) {
  try {
    check_magic_prime(prime, n_tokens, ctx_len);
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ExitCode::bad_input);
    return e.what();
  }
  return "";
}

TEST(MagicPrime, AGivenOneIsChecked) {
  EXPECT_EQ(refusal(617, 81482, 128), "");
  EXPECT_EQ(refusal(587, 81482, 128), "");  // above 0.9 of 636 slots
  for (int64_t wrong : {0, -5, 616, 613, 569, 641}) {
    const std::string reason = refusal(wrong, 81482, 128);
    EXPECT_NE(reason.find(cat("--magic_prime ", wrong)), reason.npos) << reason;
    EXPECT_NE(reason.find("use --magic_prime 617"), reason.npos) << reason;
  }
  EXPECT_NE(refusal(5, 500, 64).find("use --magic_prime 0"), std::string::npos);
}

}  // namespace
}  // namespace rk
