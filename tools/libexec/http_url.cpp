#include "http_url.h"

#include <curl/curl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "reef/core/error.h"

namespace reef::http {

Url::Url(const std::string& text) {
  const std::unique_ptr<CURLU, decltype(&::curl_url_cleanup)> url(::curl_url(), ::curl_url_cleanup);
  const auto part = [&](CURLUPart what, unsigned flags) -> std::string {
    char* found = nullptr;
    if (::curl_url_get(url.get(), what, &found, flags) != CURLUE_OK) return {};
    const std::unique_ptr<char, decltype(&::curl_free)> owner(found, ::curl_free);
    return found;
  };
  if (!url || ::curl_url_set(url.get(), CURLUPART_URL, text.c_str(), 0) != CURLUE_OK)
    throw Error(Errc::usage, fmt::format("\"{}\" is no URL", text.substr(0, text.find('?'))));
  const std::string host = part(CURLUPART_HOST, 0), port = part(CURLUPART_PORT, CURLU_NO_DEFAULT_PORT);
  authority_ = port.empty() ? host : host + ":" + port;
  origin_ = fmt::format("{}://{}:{}", part(CURLUPART_SCHEME, 0), host, part(CURLUPART_PORT, CURLU_DEFAULT_PORT));
}

std::string with_sorted_query(const std::string& url) {
  const std::size_t mark = url.find('?');
  if (mark == std::string::npos) return url;
  std::vector<std::string> fields;
  for (std::size_t at = mark + 1; at <= url.size();) {
    const std::size_t end = std::min(url.find('&', at), url.size());
    fields.push_back(url.substr(at, end - at));
    if (fields.back().find('=') == std::string::npos) fields.back() += '=';
    at = end + 1;
  }
  std::sort(fields.begin(), fields.end());
  return url.substr(0, mark + 1) + fmt::format("{}", fmt::join(fields, "&"));
}

}  // namespace reef::http
