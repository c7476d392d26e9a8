#include "data/samples/prepared.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/hex.h"
#include "base/rng.h"
#include "data/sample_encoder.h"
#include "data/samples/settings.h"
#include "data/staged_file.h"

namespace rk {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr int format = 1;  // of the files and of what encoders do; a change makes everything anew

// Path, size and time of change.
std::string file_identity(const std::string& path) {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) fail(cat(path, ": cannot open: ", std::strerror(errno)));
  if (S_ISDIR(info.st_mode)) fail(cat(path, ": is a folder; a file is needed"));
  return cat(fs::absolute(path).lexically_normal().string(), " ", info.st_size, " ", info.st_mtim.tv_sec, ".", info.st_mtim.tv_nsec);
}

std::string quoted(const std::string& text) { return json(text).dump(-1, ' ', false, json::error_handler_t::replace); }

PreparedFile named(const std::string& folder, const std::string& stem, const std::string& identity) {
  return {.prefix = (fs::path(folder) / cat(stem, "-", hex(stream_of(identity.c_str())))).string(), .identity = identity};
}

}  // namespace

PreparedFile prepared_text(const DataOptions& o, const std::string& path, const std::string& folder) {
  if (o.data_type == "dummy") return named(folder, "dummy", cat("rookery ", format, " dummy"));
  std::string identity = cat("rookery ", format, " ", o.data_type, " ", file_identity(path));
  if (is_lines(o)) {
    const std::string tokenizer = o.tokenizer.empty() ? default_tokenizer() : o.tokenizer;
    const std::string vocabulary = tokenizer.starts_with("char:") ? tokenizer.substr(5) : tokenizer;
    identity += cat(" tokenizer ", fs::is_regular_file(vocabulary) ? file_identity(vocabulary) : tokenizer, " on_error ", o.on_error, " ",
                    quoted(sample_identity(o)));
  } else if (path != o.data_file) {
    identity += cat(" characters of ", file_identity(o.data_file));
  }
  return named(folder, fs::path(path).stem().string(), identity);
}

PreparedFile prepared_split(const DataOptions& o, const std::string& prefix, const std::string& folder) {
  std::string identity =
      cat("rookery ", format, " val_split ", o.val_split, " ", file_identity(prefix + ".bin"), " ", file_identity(prefix + ".idx"));
  if (fs::exists(prefix + ".mask")) identity += cat(" ", file_identity(prefix + ".mask"));
  return named(folder, fs::path(prefix).filename().string(), identity);
}

bool is_prepared(const PreparedFile& file, const std::string& side) {
  const std::string prefix = file.prefix + side;
  if (!fs::exists(prefix + ".bin") || !fs::exists(prefix + ".idx") || !fs::exists(prefix + ".json")) return false;
  std::ifstream in(prefix + ".json");
  const json record = json::parse(in, nullptr, false);
  if (!record.is_object()) return false;
  try {
    return record.at("identity") == file.identity && (!record.at("marks").get<bool>() || fs::exists(prefix + ".mask"));
  } catch (const json::exception&) {
    return false;  // not written by us: everything is made anew
  }
}

PreparedRecord read_record(const PreparedFile& file, const std::string& side) {
  const std::string path = file.prefix + side + ".json";
  if (!is_prepared(file, side)) {
    fail(cat(file.prefix, side, ".bin: the tokens of ", file.identity,
             " are not there; was the text changed, or is the folder another one on ", "this host? Start the run again"));
  }
  std::ifstream in(path);
  const json record = json::parse(in, nullptr, false);
  try {
    return {.identity = file.identity,
            .documents = record.at("documents"),
            .tokens = record.at("tokens"),
            .vocabulary = record.at("vocabulary"),
            .marks = record.at("marks"),
            .remarks = record.at("remarks")};
  } catch (const json::exception& e) {
    fail(cat(path, ": not the record of token files (", e.what(), "); delete it, and they are made again"));
  }
}

void write_record(const std::string& prefix, const PreparedRecord& record) {
  const json text{{"identity", record.identity},     {"documents", record.documents}, {"tokens", record.tokens},
                  {"vocabulary", record.vocabulary}, {"marks", record.marks},         {"remarks", record.remarks}};
  const std::string bytes = text.dump(1, ' ', false, json::error_handler_t::replace) + "\n";
  StagedFile file(prefix + ".json");
  file.write(bytes.data(), bytes.size());
  file.finish();
  file.commit();
}

}  // namespace rk
