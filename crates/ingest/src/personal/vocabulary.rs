//! Words of names of personal data. A phrase is written without separators, since `first_name`, `firstName` and `firstname` are
//! one name. Letters are lower case and without accents.

use super::kind::PersonalKind;
use std::collections::HashMap;
use std::sync::LazyLock;

/// Effect of a word on the meaning of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    /// Personal data.
    Personal(PersonalKind, Strength),
    /// Word that leaves the kind as it is: whose the data are, or which of several.
    Qualifier,
    /// Qualifier before personal data, a fact about them after: `verified_email`, `email_verified`.
    Adjective,
    /// Word that makes the name a fact about the data, as in `has_phone`.
    Fact,
    /// Word that makes the name a fact about the data before it, as in `email_status`.
    FactAfter,
    /// Word or phrase that is harmless although a part of it is not, as `iphone`.
    Harmless,
}

/// Company that a word must keep to be personal data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strength {
    /// Personal data beside any other words.
    Strong,
    /// Personal data as the last word or before qualifiers: `last_login_ip`, but not `ip_country`.
    Head,
    /// Personal data alone or among qualifiers: `billing_name`, but not `product_name`.
    Weak,
}

use PersonalKind::{
    BirthDate, Credentials, DeviceId, Email, ExactLocation, IdentityDocument, IpAddress, Payment, PersonName,
    Phone, PostalAddress, SocialHandle,
};
use Strength::{Head, Strong, Weak};

/// Personal words and phrases. Sources: specifications of Segment, RudderStack, PostHog, Snowplow, mParticle, Braze, Klaviyo
/// and Customer.io, fields of Salesforce, HubSpot, Mailchimp and Shopify, autofill tokens of HTML, vCard, and common forms.
const PERSONAL: &[(PersonalKind, Strength, &str)] = &[
    (
        PersonName,
        Strong,
        "firstname lastname surname givenname familyname fullname middlename maidenname nickname displayname \
         legalname realname username screenname forename fname lname mname middleinitial initials \
         additionalname phoneticname preferredname contactperson cardholdername nameoncard fullnames \
         personname emergencycontact loginname knownas vorname nachname familienname benutzername spitzname \
         geburtsname ansprechpartner kontoinhaber karteninhaber prenom nomcomplet nomdefamille \
         nomutilisateur surnom pseudonyme nombrecompleto nombreusuario nombredeusuario primernombre \
         segundonombre apellido apellidos primerapellido segundoapellido nombreyapellidos apodo nomecompleto \
         sobrenome cognome apelido voornaam achternaam tussenvoegsel roepnaam nazwisko imie fornavn \
         etternavn fornamn efternamn etunimi sukunimi isim soyad soyisim adsoyad xingming zhenshixingming \
         xingmin yonghuming nicheng shimei furigana hurigana onamae namae myoji 姓名 真实姓名 中文姓名 \
         用户名 用戶名 昵称 暱稱 氏名 フリガナ ふりがな ニックネーム 성명 닉네임 фамилия отчество фио",
    ),
    (
        PersonName,
        Weak,
        "name names nom nombre nome naam navn namn nimi nm kundenname nick fn ln consignee receiver recipient \
         addressee cardholder accountholder 名字 名前 姓 名 セイ メイ カナ 收货人 收貨人 收件人 联系人 \
         聯絡人 宛名 이름 имя",
    ),
    (
        Email,
        Strong,
        "email emailaddress emailaddr emailadresse emailid mailaddress mailaddr mailadresse mailid useremail \
         hotmail courriel adressemail adresseemail adresseelectronique adressecourriel correoelectronico \
         direccioncorreo direccionemail electronicmail enderecoemail indirizzoemail posteletronica \
         postaelettronica epost eposta youxiang dianziyouxiang dianziyoujian meiru meruadoresu 邮箱 郵箱 \
         电子邮箱 電子郵箱 电子邮件 電子郵件 邮箱地址 邮件地址 メール メールアドレス 電子メール 이메일 почта \
         электроннаяпочта",
    ),
    (Email, Weak, "mail mails gmail correo em 邮件 郵件 メアド"),
    (
        Phone,
        Strong,
        "phone phonenumber telephone telefon telefonnummer telefono telefone telefoonnummer telefoon \
         telefonszam mobilephone mobilenumber mobileno mobilenum mobilenr cellphone cellnumber \
         cellphonenumber cellularphone landline fax faxnumber pager msisdn contactnumber contactno \
         contacttel rufnummer handynummer mobilnummer mobiltelefon mobilfunk mobilfunknummer telefax \
         festnetz telnummer numerotelephone numerodetelephone telephoneportable telephonemobile telfixe \
         telfijo numeroportable telefonomovil telefonocelular numerotelefono numerodetelefono telefonofijo \
         numerocelular celular cellulare puhelin puhelinnumero shouji shoujihao sjh lxdh shoujihaoma dianhua \
         lianxidianhua lianxifangshi denwa denwabango denwabangou keitai keitaidenwa keitaibango 手机 手機 \
         手机号 手机号码 手機號碼 电话 電話 电话号码 電話番号 联系电话 聯絡電話 联系方式 固话 座机 传真 \
         携帯電話 携帯番号 전화 전화번호 휴대폰 휴대전화 телефон мобильный",
    ),
    (Phone, Head, "tel telno telnr telnational tellocal telareacode telextension 携帯 連絡先電話"),
    (Phone, Weak, "mobile cell cellular handy mobil gsm portable movil ph"),
    (
        PostalAddress,
        Strong,
        "streetaddress addressline addresslines streetname streetnumber housenumber housenr houseno doorno zipcode \
         zippostal postalcode postcode postalzip postalnumber pobox apartmentnumber aptnumber doornumber \
         flatnumber unitnumber streetline shiptoaddress billtoaddress strasse strassenname hausnummer hausnr \
         anschrift postleitzahl plz postfach postadresse wohnadresse lieferadresse rechnungsadresse \
         wohnanschrift lieferanschrift rechnungsanschrift adresszusatz adresszeile codepostal adressepostale \
         numerorue complementadresse nomrue codigopostal direccionpostal direccionenvio direccionfacturacion \
         direccionentrega domicilio numerocasa codicepostale codicecap indirizzo endereco logradouro \
         huisnummer straatnaam adres dizhi xiangxidizhi shouhuodizhi youbian youzhengbianma jusho juusho \
         yubin yubinbango yuubinbangou banchi 住址 街道 门牌号 門牌號 邮编 郵編 邮政编码 郵遞區號 住所 番地 \
         建物名 マンション名 郵便番号 주소 우편번호",
    ),
    (PostalAddress, Head, "zip zp addr adr 地址"),
    (
        PostalAddress,
        Weak,
        "address street postal adresse rue calle direccion straat apartment apt cp cep адрес индекс",
    ),
    (
        BirthDate,
        Strong,
        "birth birthday birthdate dateofbirth dayofbirth dob dobday dobmonth dobyear bday yob yearofbirth bdate \
         borndate bornon dateborn birthyear birthmonth birthplace placeofbirth geburtsdatum geburtstag \
         geburtsjahr geburtsmonat geburtsort gebdatum gebdat geboren datenaissance datedenaissance \
         anneenaissance lieunaissance naissance anniversairenaissance fechanacimiento fechadenacimiento \
         nacimiento cumpleanos lugarnacimiento datanascita datadinascita nascita datanascimento \
         datadenascimento nascimento geboortedatum geboorte dataurodzenia fodselsdato fodelsedatum \
         syntymaaika dogumtarihi shengri chushengriqi chushengnianyue seinengappi tanjobi tanjoubi 生日 出生 \
         出生日期 出生年月 生年月日 誕生日 誕生月 생일 생년월일 датарождения",
    ),
    (
        IdentityDocument,
        Strong,
        "passport passportnumber passportno ssn socialsecurity socialsecuritynumber socialinsurancenumber \
         nationalid nationalidnumber nationalidentifier nationalinsurance nationalinsurancenumber idcard \
         idcardnumber idcardno identitycard identitynumber identitydocument identificationnumber iddocument \
         documentnumber governmentid residentid residentidcard residentidentity driverlicense driverslicense \
         driverlicence driverslicence drivinglicense drivinglicence driverlicensenumber licensenumber \
         licencenumber licenseplate licenceplate numberplate taxid taxidnumber taxpayerid taxnumber taxno \
         visanumber greencardnumber voterid medicare medicarenumber healthinsurancenumber insurancenumber insuranceid nric \
         nhsnumber ninumber certno certificateno personalausweis personalausweisnummer ausweisnummer ausweis \
         reisepass reisepassnummer steuernummer steuerid steueridentifikationsnummer \
         sozialversicherungsnummer versicherungsnummer svnr fuhrerschein fuehrerschein fuhrerscheinnummer \
         fuehrerscheinnummer kfzkennzeichen carteidentite cartedidentite numerosecuritesociale numerosecu \
         numerosecurite securitesociale passeport numeropasseport permisconduire permisdeconduire pasaporte \
         numeropasaporte carnetidentidad documentoidentidad numerodocumento seguridadsocial \
         numeroseguridadsocial licenciaconducir codicefiscale cedula dni nif nie cpf curp aadhaar aadhar \
         aadhaarnumber panno pesel personnummer fodselsnummer burgerservicenummer rijksregisternummer \
         shenfenzheng shenfenzhenghao shenfenzhenghaoma zhengjianhao huzhao hukou mynumber kojinbango menkyo \
         menkyosho 身份证 身份證 身份证号 身份证号码 身份證號碼 证件号 证件号码 證件號碼 护照 護照 护照号 \
         驾照 驾驶证 社保号 社保卡 港澳通行证 军官证 マイナンバー 個人番号 免許証 運転免許 パスポート 保険証 \
         주민등록번호 여권 паспорт снилс инн",
    ),
    (IdentityDocument, Weak, "idnumber idno idnum sfz sfzh bsn"),
    (
        Payment,
        Strong,
        "creditcard creditcardnumber debitcard debitcardnumber bankcard bankcardnumber cardnumber cardnum \
         cardno cardnr cardpan cardcvv cardcvc cardcode cardexp cardexpiry cardexpiration cardexpirydate \
         cardlastfour cclastfour paymentcard ccnumber ccnum ccno ccn ccname ccgivenname ccfamilyname ccadditionalname \
         ccexp ccexpmonth ccexpyear ccexpiry cccsc cccvc cccvv cvv cvc csc cvn securitycode iban bic \
         swiftcode bankaccount bankaccountnumber accountnumber accountno accountnum acctnumber acctno \
         acctnum routingnumber sortcode bsbnumber bankcode walletaddress cryptowallet bitcoinaddress \
         btcaddress ethaddress ethereumaddress cryptoaddress paypalemail paypalaccount paypalid \
         alipayaccount alipayid upiid kreditkarte kreditkartennummer kartennummer kontonummer kontonr \
         bankverbindung bankleitzahl bankkonto cartebancaire carteblue cartebleue cartecredit cartedecredit \
         numerocarte numerodecarte numerocompte comptebancaire tarjetacredito tarjetadecredito numerotarjeta \
         numerodetarjeta cuentabancaria numerocuenta clabe cartadicredito numerocarta cartaocredito \
         contabancaria yinhangka yinhangkahao kahao zhifubao xinyongka kurejittokado kozabango 银行卡 銀行卡 \
         银行卡号 信用卡 信用卡号 借记卡 银行账号 银行账户 银行帐号 银行帐户 支付宝 支付寶 支付宝账号 \
         クレジットカード カード番号 口座 口座番号 銀行口座 신용카드 카드번호 계좌번호 номеркарты",
    ),
    (Payment, Head, "卡号 卡號"),
    (Payment, Weak, "card cc pan paypal alipay vpa tarjeta"),
    (
        IpAddress,
        Strong,
        "ipaddress ipaddr ipadresse ipv ipaddresses clientip clientipaddress userip useripaddress remoteip remoteipaddress lastipaddress remoteaddr remoteaddress lastip \
         signupip loginip registrationip registerip publicip privateip xforwardedfor forwardedfor \
         direccionip adresseip ip地址 ipアドレス",
    ),
    (IpAddress, Head, "ip"),
    (
        DeviceId,
        Strong,
        "deviceid deviceuuid deviceudid deviceidentifier devicetoken deviceserial deviceserialnumber \
         devicename devicefingerprint fingerprint advertisingid advertisingidentifier advertiserid adid idfa \
         idfv ifa gaid aaid oaid rdid googleadid appleadid amazonadid androidid androidadvertisingid \
         iosadvertisingid imei meid imsi iccid udid openudid macaddress macaddr wifimac bluetoothmac \
         hardwareid installationid installid appinstanceid appsflyerid adjustid onesignalplayerid firebaseinstanceid anonymousid anonymoususerid \
         distinctid domainuserid networkuserid cookieid visitorid browserid gaclientid googleclientid fbclid \
         gclid dclid msclkid ttclid twclid wbraid gbraid yclid clickid fbp fbc muid pushtoken pushtokens \
         fcmtoken apnstoken apnsid gcmtoken gcmid registrationtoken onesignalid pushid shebeihao 设备号 \
         设备id 设备编号 设备标识 设备识别码 広告id 端末id 端末識別番号",
    ),
    (DeviceId, Weak, "mac"),
    (
        SocialHandle,
        Strong,
        "socialhandle socialhandles socialprofile socialprofiles socialaccount socialmedia twitterhandle \
         twitterid twitterusername twitterscreenname instagramhandle instagramusername instagramid \
         facebookid facebookurl facebookprofile facebookusername fbid fbuid fbuserid linkedinid linkedinurl \
         linkedinprofile linkedinbio tiktokhandle tiktokusername githubusername lineid lineuserid \
         lineaccount wechatid wechatopenid wechatunionid weixinid weixinhao openid unionid whatsappnumber \
         whatsappphone whatsappid telegramid telegramusername telegramhandle telegramchatid skypeid \
         skypename discordid discordusername qqnumber qqid kakaoid kakaotalkid messengerid vkid gamertag signalnumber threadshandle youtubechannel googleid \
         googleplusid appleid microsoftid yahooid snapchatid snapchatusername impp icq jabber avatar \
         avatarurl profilepicture profilepic profilephoto profileimage profileimageurl userphoto gravatar \
         weixin 微信 微信号 微信號 微信id qq号 qq號 qq号码 微博 抖音 抖音号 小红书 小红书号 ライン 카카오톡",
    ),
    (
        SocialHandle,
        Weak,
        "facebook fb twitter instagram insta ig linkedin tiktok snapchat twitch steam pinterest youtube reddit github \
         telegram whatsapp wechat qq kakao kakaotalk viber skype discord messenger mastodon bluesky vk weibo \
         douyin xiaohongshu xing zalo line handle photo picture pic bild foto",
    ),
    (
        ExactLocation,
        Strong,
        "latitude longitude latlng latlon latlong lnglat lonlat coordinate coordinates coords gps \
         gpscoordinates gpslocation gpsposition geolocation geopoint geohash geocoordinates geocoordinate \
         geoposition currentlocation exactlocation preciselocation homelocation devicelocation lastlocation \
         lastknownlocation mostrecentlocation whatthreewords breitengrad langengrad laengengrad geoposicion \
         latitud longitud latitudine longitudine coordenadas coordonnees coordonneesgps jingdu weidu \
         jingweidu 经度 纬度 經度 緯度 经纬度 坐标 位置情報 経度 위도 경도",
    ),
    (ExactLocation, Head, "lat lon lng"),
    (ExactLocation, Weak, "geo"),
    (
        Credentials,
        Strong,
        "password passwd passwort pwd passphrase passcode pincode pinnumber accesstoken authtoken apitoken \
         apikey refreshtoken idtoken sessiontoken sessionkey csrftoken bearertoken jwt authorization \
         authcode secretkey privatekey clientsecret apisecret appsecret consumersecret otp totp otpsecret \
         mfasecret twofactorsecret onetimecode onetimepassword verificationcode recoverycode backupcode \
         securityquestion securityanswer secretquestion secretanswer credential authkey credentials kennwort \
         sicherheitsfrage motdepasse mdp codesecret questionsecrete contrasena palabraclave \
         preguntaseguridad senha wachtwoord haslo losenord salasana sifre parol mima pasuwado anshobango \
         密码 密碼 口令 验证码 驗證碼 密保 パスワード 暗証番号 비밀번호 пароль",
    ),
    (Credentials, Head, "token secret"),
    (Credentials, Weak, "pin login cookie pass pw csrf"),
];

/// Words that say whose data they are or which of several, and words of forms.
const QUALIFIERS: &str = "user users usr customer customers cust client clients member members person \
    persons people contact contacts account accounts acct owner buyer shopper billing bill shipping ship \
    delivery deliver invoice payer payee payment recipients guest guests lead leads subscriber subscribers \
    visitor profile my your their our his her home house household work office business private personal \
    primary secondary tertiary main default alt alternate alternative other another first second third \
    fourth middle last given family full legal real maiden new old current previous former original \
    emergency mother mothers father fathers parent spouse partner husband wife child children kid kids baby \
    son daughter guardian beneficiary student pupil patient driver employee staff passenger traveller \
    traveler tenant applicant candidate sender signer holder manager rep representative agent teacher doctor \
    assistant resident citizen player gamer donor voter insured policyholder field fields input text txt \
    value val str string form data info information attr attribute property properties prop trait traits \
    custom raw plain clean cleaned normalized formatted hashed hash sha md encrypted number num no nr numero \
    nummer nbr id ids identifier key lines part one two three four en cn zh ja jp ko kr fr it ru a b c x and or of the for to in from und et y \
    e de du la del di da do der das die des residential residence permanent correspondence communication \
    registration temporary mailing physical present principal forwarding return domicile pickup native local \
    english chinese latin kana kanji katakana hiragana roman phonetic pronunciation url uri link page uid \
    remote source request signup sign kunde kunden kundin nutzer benutzer rechnung rechnungs lieferung \
    liefer privat haupt cliente clientes usuario usuaria utilisateur utente envio facturacion entrega \
    contacto kontakt livraison facturation personnel casa trabajo empleado titular abonne adherent \
    destinataire beneficiaire gast klant 用户 用戶 客户 客戶 会员 會員 顾客 顧客 我的 个人 個人 家庭 收货 \
    收貨 收件 联系 聯絡 常用 备用 注册 登录 号 号码 號碼 信息 填写 学生 员工 本人 会員 お客様 お ご 様 \
    ユーザー 自宅 勤務先 連絡先 番号 アドレス 欄 入力 確認用 送付先 請求先 配送先 고객 회원 번호";

/// Words that choose one of several before personal data, and are a fact about them after: `verified_email`, `email_verified`.
const ADJECTIVES: &str = "verified confirmed validated preferred registered";

/// Words beside personal data that make the name a fact about them.
const FACTS: &str = "has have had is was are can could did does accepts accept allow allows wants want \
    receives receive count counts total average avg sum days since opt optin optout opted enable enables use \
    uses using prefers should will numberof noof countof supports requires require send sends sent show hide \
    missing without 是否 有无 有無";

/// Words that make the name a fact about the personal data before them.
const FACTS_AFTER: &str = "verification verify valid validity confirmation optins optouts optedin optedout \
    out subscribed subscribe subscription subscriptions unsubscribed unsubscribe unsubscribes consent \
    consented permission permissions marketing preference preferences pref prefs frequency enabled disabled \
    allowed status state kind type types category categories brand brands model models make carrier operator \
    provider vendor os platform app version open opens opened opening click clicks clicked ctr rate score \
    bounce bounced bounces received delivered replies replied responded engagement activity campaign \
    campaigns template subject flow series list lists newsletter digest notification notifications alert \
    alerts reminder reminders theme domain tld length format channel medium at on date dates time times \
    timestamp weeks created updated changed change modified added removed exists known set reset resets \
    expires expired strength policy attempts failures rotation age usage case cases cover covers plan plans \
    price color colour size accessory accessories machine repair contract tariff shop store orders order calls call \
    minutes sms city country region county province continent timezone tz zone locale language lang currency \
    quality level tier rank risk segment group cluster match matched gender discount discounts offer offers \
    gift gifts coupon coupons reward rewards club bonus promo voucher party followers follower following \
    likes shares posts ads pixel required needed 品牌 型号 型號 类型 類型 状态 狀態 验证 已验证 订阅 訂閱 \
    数量 次数 归属地 运营商 套餐 优惠 优惠券 种类 壳 種類 配信 認証 クーポン 機種 有効 購読 設定";

/// Words and phrases that are harmless although a part of them is not.
const HARMLESS: &str = "iphone smartphone headphone earphone microphone businessname formname fieldname \
    inputname attributename propertyname traitname pagename linkname keyname partname linename addressid \
    nameid lastlogin firstlogin previouslogin logins tokens secrets cookies mobileuser mobilecustomer \
    mobileclient mobilevisitor mobileaccount mobilebuyer mobileshopper mobilemember mobilefirst lineofbusiness linemanager emailclient numemails geoip 都道府県 \
    市区町村 证件类型 证件類型 邮件订阅 メルマガ";

/// All words with their effect.
pub(crate) static WORDS: LazyLock<HashMap<&'static str, Word>> = LazyLock::new(|| entries().collect());

/// Returns the words of the tables, each with its effect.
fn entries() -> impl Iterator<Item = (&'static str, Word)> {
    let personal = PERSONAL.iter().map(|&(kind, strength, text)| (text, Word::Personal(kind, strength)));
    let others = [
        (QUALIFIERS, Word::Qualifier),
        (ADJECTIVES, Word::Adjective),
        (FACTS, Word::Fact),
        (FACTS_AFTER, Word::FactAfter),
        (HARMLESS, Word::Harmless),
    ];
    let tables = personal.chain(others);
    tables.flat_map(|(text, word)| text.split_whitespace().map(move |name| (name, word)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_has_one_effect() {
        let mut seen = HashMap::new();
        for (name, word) in entries() {
            assert_eq!(seen.insert(name, word), None, "{name} is in the tables twice");
        }
    }
}
