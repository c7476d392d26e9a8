// Drawing a sample takes no memory from the heap, whatever the samples are.
#include <gtest/gtest.h>

#include "data/sample_data.h"
#include "train/counting_new.h"

namespace rk {
namespace {

TEST(SamplesSteady, DrawingAllocatesNothing) {
  const testing_support::TemporaryFolder folder;
  testing_support::write_documents(folder.path("a"), testing_support::counting({300, 1, 50, 700, 0, 12, 440}));
  testing_support::write_documents(folder.path("b"), testing_support::counting({90, 200}));
  const std::string one = folder.path("a"), both = one + "," + folder.path("b");
  const DataOptions cases[] = {
      {.data_file = one, .ctx_len = 16},
      {.data_file = one, .ctx_len = 16, .doc_reset = 1, .order = "shuffle"},
      {.data_file = one, .ctx_len = 16, .dataload = "pad", .loss_mask = "qa"},
      {.data_file = one, .ctx_len = 16, .dataload = "only", .order = "random"},
      {.data_file = one, .ctx_len = 16, .dataload = "pack", .loss_mask = "se"},
      {.data_file = both, .data_weights = "1,2", .ctx_len = 16, .dataload = "pack"},
      {.data_file = both, .ctx_len = 16, .my_script_mask = "1_2"},
      {.data_file = one, .ctx_len = 16, .my_qa_mask = 1, .my_qa_pile = folder.path("b")},
  };
  for (const DataOptions& options : cases) {
    const auto source = open_data(options, folder.path("none"))->train_source(0);
    testing_support::Row row(16);
    const int64_t before = allocations();
    for (int64_t number = 1; number <= 200; ++number) row.draw(*source, number);
    EXPECT_EQ(allocations(), before) << options.dataload << " " << options.loss_mask;
  }
}

}  // namespace
}  // namespace rk
