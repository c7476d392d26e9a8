// rookery data concat: token files one behind the other.
#include <CLI/CLI.hpp>

#include "base/error.h"
#include "base/log.h"
#include "data/binidx.h"
#include "data/binidx_writer.h"
#include "launch/data/commands.h"
#include "launch/data/progress_line.h"
#include "launch/data/report.h"
#include "launch/words.h"

namespace rk {
namespace {

void run_concat(const std::string& out, const std::vector<std::string>& inputs) {
  std::vector<Binidx> parts;
  bool equal = true, modes = true;
  int64_t bytes_in_all = 0;
  for (const std::string& input : inputs) {
    const Binidx& part = parts.emplace_back(without_ending(input));
    for (const std::string& warning : part.warnings()) log_warning(warning);
    equal &= part.dtype() == parts.front().dtype();
    modes &= part.has_modes();
    bytes_in_all += part.n_tokens() * static_cast<int64_t>(size_of(part.dtype()));
  }
  const DType dtype = equal ? parts.front().dtype() : DType::i32;
  BinidxWriter writer({.prefix = without_ending(out), .dtype = dtype, .modes = modes});
  ProgressLine progress;
  int64_t bytes_done = 0;
  for (const Binidx& part : parts) {
    for (int64_t d = 0; d < part.n_documents(); ++d) {
      const int64_t before = writer.n_tokens();
      copy_document(part, d, writer);
      bytes_done += (writer.n_tokens() - before) * static_cast<int64_t>(size_of(part.dtype()));
      progress.show(bytes_done, bytes_in_all);
    }
  }
  writer.finish();
  writer.commit();
  log_info(cat(without_ending(out), ": ", writer.n_documents(), " documents, ", writer.n_tokens(), " tokens (", name_of(dtype), ") of ",
               parts.size(), parts.size() == 1 ? " file" : " files"));
}

}  // namespace

int data_concat_main(int argc, char** argv) {
  CLI::App app{"All documents of several PREFIX, one behind the other", "rookery data concat"};
  std::string out;
  std::vector<std::string> inputs;
  app.add_option("out", out, "PREFIX to write")->required();
  app.add_option("inputs", inputs, "PREFIX to read")->required();
  if (parse_words(app, argc, argv)) run_concat(out, inputs);
  return static_cast<int>(ExitCode::done);
}

}  // namespace rk
