// rookery data split: a share of the documents apart from the others.
#include <CLI/CLI.hpp>
#include <cmath>

#include "base/error.h"
#include "base/log.h"
#include "data/binidx.h"
#include "data/binidx_writer.h"
#include "launch/data/commands.h"
#include "launch/data/report.h"
#include "launch/words.h"

namespace rk {
namespace {

struct SplitOptions {
  std::string data, rest, part;
  double share = 0.01;
};

// The documents of the part lie evenly among the others, so that both hold something of everything.
void run_split(SplitOptions o) {
  const std::string prefix = without_ending(o.data);
  const Binidx data(prefix);
  for (const std::string& warning : data.warnings()) log_warning(warning);
  if (!(o.share > 0 && o.share < 1)) fail(cat("--share ", o.share, " is not between 0 and 1"));
  const int64_t n = data.n_documents();
  if (n < 2) fail(cat(prefix, ": ", n, n == 1 ? " document" : " documents", "; two or more can be split"));
  const int64_t in_part = std::clamp<int64_t>(std::llround(o.share * static_cast<double>(n)), 1, n - 1);
  if (o.rest.empty()) o.rest = prefix + "-train";
  if (o.part.empty()) o.part = prefix + "-val";
  BinidxWriter rest({.prefix = o.rest, .dtype = data.dtype(), .modes = data.has_modes()});
  BinidxWriter part({.prefix = o.part, .dtype = data.dtype(), .modes = data.has_modes()});
  const auto before = [&](int64_t d) { return static_cast<int64_t>(static_cast<__int128>(d) * in_part / n); };
  for (int64_t d = 0; d < n; ++d) copy_document(data, d, before(d + 1) > before(d) ? part : rest);
  for (BinidxWriter* writer : {&rest, &part}) writer->finish();
  for (BinidxWriter* writer : {&rest, &part}) writer->commit();
  log_info(cat(o.rest, ": ", rest.n_documents(), " documents, ", rest.n_tokens(), " tokens"));
  log_info(cat(o.part, ": ", part.n_documents(), " documents, ", part.n_tokens(), " tokens"));
}

}  // namespace

int data_split_main(int argc, char** argv) {
  CLI::App app{"A share of the documents of PREFIX apart, for validation", "rookery data split"};
  SplitOptions o;
  app.add_option("prefix", o.data, "PREFIX to read")->required();
  app.add_option("--share", o.share, "of the documents that are taken apart, spread evenly")->capture_default_str();
  app.add_option("--train", o.rest, "PREFIX of the others; default: PREFIX-train");
  app.add_option("--val", o.part, "PREFIX of the share; default: PREFIX-val");
  if (parse_words(app, argc, argv)) run_split(o);
  return static_cast<int>(ExitCode::done);
}

}  // namespace rk
