#include "comm/roll_call.h"

#include <gtest/gtest.h>

#include "comm/mpi_version.h"
#include "comm/worlds.h"

namespace rk {
namespace {

using Rule = Statement::Rule;

RankCard card(const std::string& host, int gpu, const std::string& program = "aaaa") {
  RankCard c{.host = host, .device = gpu >= 0 ? "H100" : "CPU, 2 cores", .index = gpu, .statements = {}};
  c.statements.push_back({.what = "rookery", .value = "0.1.0", .lines = {}});
  c.statements.push_back({.what = "program", .value = program, .shown = false, .lines = "path /usr/bin/rookery\n"});
  c.statements.push_back({.what = "driver", .value = "13.0", .rule = Rule::may_differ, .lines = {}});
  return c;
}

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

TEST(RollCall, RangesAreShort) {
  EXPECT_EQ(ranges_text({0}), "0");
  EXPECT_EQ(ranges_text({0, 1}), "0, 1");
  EXPECT_EQ(ranges_text({0, 1, 2, 3, 6, 8, 9, 10}), "0-3, 6, 8-10");
}

TEST(RollCall, OneLineAHostWhenItsRanksAreAlike) {
  const std::vector<RankCard> cards{card("n0", 0), card("n0", 1), card("n0", 2), card("node-1", 0), card("node-1", 1), card("node-1", 2)};
  EXPECT_EQ(joined(roll_table(cards)),
            "host    ranks  device\n"
            "n0      0-2    GPUs 0-2, H100\n"
            "node-1  3-5    GPUs 0-2, H100\n"
            "all ranks: rookery 0.1.0, driver 13.0\n");
  EXPECT_EQ(joined(roll_table({card("n0", -1)})), "host  ranks  device\nn0    0      CPU, 2 cores\nrookery 0.1.0, driver 13.0\n");
}

TEST(RollCall, ManyHostsAreSummarised) {
  std::vector<RankCard> cards;
  for (int r = 0; r < 100; ++r) cards.push_back(card("n" + std::to_string(r), 0));
  const std::vector<std::string> lines = roll_table(cards, 16);
  ASSERT_EQ(lines.size(), 18u);
  EXPECT_EQ(lines[16], "and n15, n16, n17, n18 and 81 more: ranks 15-99");
}

TEST(RollCall, SaysWhoDiffersTheMajorityFirst) {
  std::vector<RankCard> cards{card("n0", 0, "bbbb"), card("n0", 1), card("n1", 0), card("n1", 1)};
  EXPECT_EQ(roll_differences({card("n0", 0), card("n1", 0)}), "");
  cards[0].statements[1].lines = "path /tmp/rookery\n";
  EXPECT_EQ(roll_differences(cards),
            "  program:\n"
            "    ranks 1-3 on n0, n1: aaaa\n"
            "      path /usr/bin/rookery\n"
            "    rank 0 on n0: bbbb\n"
            "      path /tmp/rookery");
  EXPECT_EQ(joined(roll_table(cards)).find("program"), std::string::npos) << "what differs is not among what all state alike";
}

TEST(RollCall, NamesTheOptionWhoseLineDiffers) {
  std::vector<RankCard> cards{card("n0", 0), card("n1", 0)};
  for (size_t r = 0; r < 2; ++r)
    cards[r].statements.push_back(
        {.what = "options", .value = r ? "2" : "1", .lines = std::string("n_layer = 2\nlr_init = ") + (r ? "0.001" : "0.0006") + "\n"});
  const std::string text = roll_differences(cards);
  EXPECT_EQ(text,
            "  options:\n"
            "    rank 0 on n0: 1\n"
            "      lr_init = 0.0006\n"
            "    rank 1 on n1: 2\n"
            "      lr_init = 0.001");
}

TEST(RollCall, DriversMayDiffer) {
  std::vector<RankCard> cards{card("n0", 0), card("n1", 0)};
  EXPECT_TRUE(roll_warnings(cards).empty());
  cards[1].statements[2].value = "12.9";
  EXPECT_EQ(roll_differences(cards), "");
  EXPECT_EQ(joined(roll_warnings(cards)), "driver is not the same on all ranks: 13.0 on rank 0 (n0); 12.9 on rank 1 (n1)\n");
}

TEST(RollCall, AStatementThatOneRankDoesNotMakeIsADifference) {
  std::vector<RankCard> cards{card("n0", 0), card("n1", 0)};
  cards[1].statements.push_back({.what = "NCCL", .value = "2.28.9", .lines = {}});
  EXPECT_NE(roll_differences(cards).find("rank 0 on n0: (not stated)"), std::string::npos) << roll_differences(cards);
}

// What is long travels only where it is needed.
TEST(RollCall, CardsOfAllRanksReachAll) {
  test::for_each_world([](Comm& comm) {
    RankCard mine = card("n" + std::to_string(comm.rank() / 2), comm.rank() % 2);
    mine.statements.push_back(
        {.what = "options", .value = comm.rank() == 0 ? "a" : "b", .lines = "of rank " + std::to_string(comm.rank())});
    const std::vector<RankCard> cards = call_roll(comm, mine);
    ASSERT_EQ(cards.size(), static_cast<size_t>(comm.size()));
    for (int r = 0; r < comm.size(); ++r) {
      const RankCard& c = cards[static_cast<size_t>(r)];
      EXPECT_EQ(c.host, "n" + std::to_string(r / 2));
      EXPECT_EQ(c.index, r % 2);
      ASSERT_EQ(c.statements.size(), 4u);
      EXPECT_EQ(c.statements[1].value, "aaaa");
      EXPECT_EQ(c.statements[1].lines, "");
      EXPECT_FALSE(c.statements[1].shown);
      EXPECT_EQ(c.statements[2].rule, Rule::may_differ);
      EXPECT_EQ(c.statements[3].lines, comm.size() > 1 ? "of rank " + std::to_string(r) : "");
    }
  });
}

TEST(RollCall, TheLibraryHasAVersion) {
  const std::string version = mpi_version();
  EXPECT_NE(version.find_first_of("0123456789"), std::string::npos) << version;
  EXPECT_LT(version.size(), 60u) << version;
}

}  // namespace
}  // namespace rk
