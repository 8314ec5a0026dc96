"""What the servers of the tests check of Amazon's signature, version 4, computed from scratch."""
import hashlib
import hmac
import re
import urllib.parse


def signature_fault(method, target, headers, body, key_id, secret, region):
    """Why a request is not signed as S3 asks; None when it is."""
    match = re.fullmatch(r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/s3/aws4_request, ?"
                         r"SignedHeaders=([a-z0-9;-]+), ?Signature=([0-9a-f]{64})", headers.get("Authorization", ""))
    if not match:
        return "no signature"
    given_id, day, given_region, signed, given = match.groups()
    names = signed.split(";")
    if given_id != key_id or given_region != region:
        return f"key {given_id}, region {given_region}"
    if names != sorted(names) or not {"host", "x-amz-content-sha256", "x-amz-date"} <= set(names):
        return f"signed headers {signed}"
    digest = hashlib.sha256(body).hexdigest()
    if headers["x-amz-content-sha256"] != digest:
        return "a body is announced that is not sent"
    if "expect" in names:
        return "Expect is signed, which proxies take away"
    path, _, query = target.partition("?")
    pairs = sorted(tuple(field.partition("=")[::2]) for field in query.split("&")) if query else []
    lines = [method, urllib.parse.quote(urllib.parse.unquote(path), safe="/-_.~"),
             "&".join(f"{name}={value}" for name, value in pairs)]
    lines += [f"{name}:{' '.join(headers[name].split())}" for name in names] + ["", signed, digest]
    scope = f"{day}/{region}/s3/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", headers["x-amz-date"], scope,
                      hashlib.sha256("\n".join(lines).encode()).hexdigest()])
    key = ("AWS4" + secret).encode()
    for part in (day, region, "s3", "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    wanted = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    return None if wanted == given else "SignatureDoesNotMatch"
