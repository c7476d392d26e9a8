#include "train/config_option.h"

#include <algorithm>
#include <map>
#include <numeric>

namespace rk {
namespace {

// Insertions, deletions, replacements and swaps of neighbours that turn a into b.
size_t edits(std::string_view a, std::string_view b) {
  std::vector<std::vector<size_t>> d(a.size() + 1, std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) d[i][0] = i;
  std::iota(d[0].begin(), d[0].end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i)
    for (size_t j = 1; j <= b.size(); ++j) {
      d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
    }
  return d[a.size()][b.size()];
}

std::map<std::string, const ConfigOption*, std::less<>> spellings_of(const std::vector<ConfigOption>& options) {
  std::map<std::string, const ConfigOption*, std::less<>> known;
  for (const ConfigOption& o : options) {
    known.emplace(o.name, &o);
    for (const std::string& alias : o.aliases) known.emplace(alias, &o);
  }
  return known;
}

const auto& spellings() {
  static const auto known = spellings_of(config_options());
  return known;
}

}  // namespace

const std::vector<ConfigOption>& config_options() {
  static const std::vector<ConfigOption> options = [] {
    std::vector<ConfigOption> all = own_options();
    for (ConfigOption& o : foreign_options()) all.push_back(std::move(o));
    return all;
  }();
  return options;
}

const ConfigOption* find_option(std::string_view spelling) {
  const auto found = spellings().find(spelling);
  return found == spellings().end() ? nullptr : found->second;
}

std::string nearest_spelling(std::string_view unknown) {
  size_t best = unknown.size() + 1000;
  std::string nearest;
  for (const auto& [spelling, option] : spellings()) {
    const size_t n = edits(unknown, spelling);
    if (n >= best) continue;
    best = n;
    nearest = spelling;
  }
  return nearest;
}

std::string plain_spelling(std::string_view word) {
  while (word.starts_with('-')) word.remove_prefix(1);
  std::string plain(word);
  std::replace(plain.begin(), plain.end(), '-', '_');
  return plain;
}

}  // namespace rk
