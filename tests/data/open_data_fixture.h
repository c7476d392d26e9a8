// A folder with data and a run's token files below it.
#pragma once
#include <gtest/gtest.h>

#include "data/sample_data.h"

namespace rk::testing_support {

class OpenDataTest : public testing::Test {
 protected:
  std::string path(const std::string& name) const { return folder_.path(name); }
  std::string proj() const { return folder_.path("proj/data"); }
  std::unique_ptr<DataSet> open(const DataOptions& options, int threads = 1) const {
    prepare_data(options, {.folder = proj(), .threads = threads});
    return open_data(options, proj());
  }
  std::string tokens(const std::string& name, const Documents& documents) const {
    write_documents(path(name), documents);
    return path(name);
  }
  static std::vector<Row> draw(const BatchSource& source, int64_t first, int64_t n, int64_t ctx_len) {
    std::vector<Row> rows;
    for (int64_t number = first; number < first + n; ++number) rows.push_back(Row(ctx_len).draw(source, number));
    return rows;
  }
  std::string jsonl(int n, const std::string& name = "text.jsonl") const {
    std::string lines;
    for (int i = 0; i < n; ++i) lines += cat("{\"text\": \"User: question ", i, "\\n\\nAssistant: answer ", i * i, "\"}\n");
    write_text(path(name), lines);
    return path(name);
  }
  TemporaryFolder folder_;
};

}  // namespace rk::testing_support
