"""`OTP_COUNTRIES`: ISO 3166 codes of the countries that are served."""

from otp_service.phone import KNOWN_REGIONS

EVERYWHERE = "*"

_COUNTED_AS = {
    "AX": "FI",
    "BL": "GP",
    "CC": "AU",
    "CX": "AU",
    "EH": "MA",
    "MF": "GP",
    "SJ": "NO",
    "VA": "IT",
}
"""Regions that no number matches: libphonenumber counts their mobile numbers as the region on the right."""
_NO_MOBILE = frozenset({"TA"})

_NAMES = """
AC Ascension Island; AD Andorra; AE United Arab Emirates; AF Afghanistan; AG Antigua and Barbuda; AI Anguilla; AL
Albania; AM Armenia; AO Angola; AR Argentina; AS American Samoa; AT Austria; AU Australia; AW Aruba; AX Åland Islands;
AZ Azerbaijan; BA Bosnia and Herzegovina; BB Barbados; BD Bangladesh; BE Belgium; BF Burkina Faso; BG Bulgaria; BH
Bahrain; BI Burundi; BJ Benin; BL Saint Barthélemy; BM Bermuda; BN Brunei; BO Bolivia; BQ Bonaire, Sint Eustatius and
Saba; BR Brazil; BS Bahamas; BT Bhutan; BW Botswana; BY Belarus; BZ Belize; CA Canada; CC Cocos Islands; CD The
Democratic Republic Of Congo; CF Central African Republic; CG Congo; CH Switzerland; CI Côte d'Ivoire; CK Cook
Islands; CL Chile; CM Cameroon; CN China; CO Colombia; CR Costa Rica; CU Cuba; CV Cape Verde; CW Curaçao; CX Christmas
Island; CY Cyprus; CZ Czechia; DE Germany; DJ Djibouti; DK Denmark; DM Dominica; DO Dominican Republic; DZ Algeria; EC
Ecuador; EE Estonia; EG Egypt; EH Western Sahara; ER Eritrea; ES Spain; ET Ethiopia; FI Finland; FJ Fiji; FK Falkland
Islands; FM Micronesia; FO Faroe Islands; FR France; GA Gabon; GB United Kingdom; GD Grenada; GE Georgia; GF French
Guiana; GG Guernsey; GH Ghana; GI Gibraltar; GL Greenland; GM Gambia; GN Guinea; GP Guadeloupe; GQ Equatorial Guinea;
GR Greece; GT Guatemala; GU Guam; GW Guinea-Bissau; GY Guyana; HK Hong Kong; HN Honduras; HR Croatia; HT Haiti; HU
Hungary; ID Indonesia; IE Ireland; IL Israel; IM Isle Of Man; IN India; IO British Indian Ocean Territory; IQ Iraq; IR
Iran; IS Iceland; IT Italy; JE Jersey; JM Jamaica; JO Jordan; JP Japan; KE Kenya; KG Kyrgyzstan; KH Cambodia; KI
Kiribati; KM Comoros; KN Saint Kitts And Nevis; KP North Korea; KR South Korea; KW Kuwait; KY Cayman Islands; KZ
Kazakhstan; LA Laos; LB Lebanon; LC Saint Lucia; LI Liechtenstein; LK Sri Lanka; LR Liberia; LS Lesotho; LT Lithuania;
LU Luxembourg; LV Latvia; LY Libya; MA Morocco; MC Monaco; MD Moldova; ME Montenegro; MF Saint Martin; MG Madagascar;
MH Marshall Islands; MK North Macedonia; ML Mali; MM Myanmar; MN Mongolia; MO Macao; MP Northern Mariana Islands; MQ
Martinique; MR Mauritania; MS Montserrat; MT Malta; MU Mauritius; MV Maldives; MW Malawi; MX Mexico; MY Malaysia; MZ
Mozambique; NA Namibia; NC New Caledonia; NE Niger; NF Norfolk Island; NG Nigeria; NI Nicaragua; NL Netherlands; NO
Norway; NP Nepal; NR Nauru; NU Niue; NZ New Zealand; OM Oman; PA Panama; PE Peru; PF French Polynesia; PG Papua New
Guinea; PH Philippines; PK Pakistan; PL Poland; PM Saint Pierre And Miquelon; PR Puerto Rico; PS Palestine; PT
Portugal; PW Palau; PY Paraguay; QA Qatar; RE Reunion; RO Romania; RS Serbia; RU Russia; RW Rwanda; SA Saudi Arabia;
SB Solomon Islands; SC Seychelles; SD Sudan; SE Sweden; SG Singapore; SH Saint Helena; SI Slovenia; SJ Svalbard And
Jan Mayen; SK Slovakia; SL Sierra Leone; SM San Marino; SN Senegal; SO Somalia; SR Suriname; SS South Sudan; ST Sao
Tome And Principe; SV El Salvador; SX Sint Maarten (Dutch part); SY Syria; SZ Eswatini; TA Tristan da Cunha; TC Turks
And Caicos Islands; TD Chad; TG Togo; TH Thailand; TJ Tajikistan; TK Tokelau; TL Timor-Leste; TM Turkmenistan; TN
Tunisia; TO Tonga; TR Turkey; TT Trinidad and Tobago; TV Tuvalu; TW Taiwan; TZ Tanzania; UA Ukraine; UG Uganda; US
United States; UY Uruguay; UZ Uzbekistan; VA Vatican; VC Saint Vincent And The Grenadines; VE Venezuela; VG British
Virgin Islands; VI U.S. Virgin Islands; VN Vietnam; VU Vanuatu; WF Wallis And Futuna; WS Samoa; XK Kosovo; YE Yemen;
YT Mayotte; ZA South Africa; ZM Zambia; ZW Zimbabwe
"""
_CODES = {name: code.upper() for code, *words in map(str.split, _NAMES.lower().split(";")) if (name := " ".join(words))}


def checked_countries(text: str) -> str:
    """Return the codes in upper case, or `*`. Raises ValueError with every code that is wrong."""
    if text.strip() == EVERYWHERE:
        return EVERYWHERE
    regions = [part.strip() for part in text.split(",")]
    problems = [problem for region in regions if (problem := _problem_with(region))]
    if problems:
        raise ValueError("; ".join(problems))
    return ",".join(regions).upper()


def _problem_with(text: str) -> str | None:
    region = text.upper()
    if region in _NO_MOBILE:
        return f"{region}: it has no mobile numbers; leave it out"
    if region in _COUNTED_AS:
        return f"{region}: its numbers count as {_COUNTED_AS[region]}; write {_COUNTED_AS[region]}"
    if region in KNOWN_REGIONS:
        return None
    suggestion = _CODES.get(" ".join(text.lower().split()), "two-letter codes such as CO,US,VE, or * alone")
    return f"{_shown(text)} is not an ISO 3166 code; write {suggestion}"


def _shown(text: str) -> str:
    # What does not look like a name may be a secret in the wrong variable.
    looks_like_a_name = len(text) <= 40 and all(char.isalpha() or char in " .'()-" for char in text)
    return f'"{text}"' if looks_like_a_name else "the value"
