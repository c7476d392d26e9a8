#include "params/param_table.h"

#include <gtest/gtest.h>

namespace rk {
namespace {

Param named(const std::string& name, Shape shape) {
  Param p;
  p.name = name;
  p.shape = shape;
  return p;
}

TEST(ParamTable, KeepsOrderAndReferences) {
  ParamTable table;
  Param& first = table.add(named("a", {2, 3}));
  for (int i = 0; i < 1000; ++i) table.add(named(cat("p", i), {1, 1, 4}));
  EXPECT_EQ(&first, &table.at("a"));
  EXPECT_EQ(table.all().front().name, "a");
  EXPECT_EQ(table.all().back().name, "p999");
  EXPECT_EQ(table.find("p7"), &table.all()[8]);
  EXPECT_EQ(table.find("b"), nullptr);
  EXPECT_EQ(table.numel(), 6 + 4000);
}

TEST(ParamTable, RefusesTwoOfOneName) {
  ParamTable table;
  table.add(named("a", {1}));
  EXPECT_THROW(table.add(named("a", {1})), Error);
  EXPECT_THROW(table.at("b"), Error);
}

}  // namespace
}  // namespace rk
