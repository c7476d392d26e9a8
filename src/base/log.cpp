#include "base/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

namespace rk {
namespace {

struct Voice {
  std::shared_ptr<spdlog::logger> out = spdlog::stdout_logger_mt("rookery.out");
  std::shared_ptr<spdlog::logger> err = spdlog::stderr_logger_mt("rookery.err");
  bool speaks = true;
  std::string prefix;
  Voice() {
    out->set_pattern("%v");
    err->set_pattern("%v");
    out->flush_on(spdlog::level::info);
    err->flush_on(spdlog::level::info);
  }
};

Voice& voice() {
  static Voice v;
  return v;
}

}  // namespace

void set_log_voice(bool speaks, const std::string& error_prefix) {
  voice().speaks = speaks;
  voice().prefix = error_prefix;
}

void log_info(const std::string& line) {
  if (voice().speaks) voice().out->info("{}", line);
}

void log_warning(const std::string& line) {
  if (voice().speaks) voice().err->info("warning: {}", line);
}

void log_error(const std::string& line) { voice().err->info("{}{}", voice().prefix, line); }

}  // namespace rk
